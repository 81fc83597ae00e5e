//! `daypass migrate`: the database's schema.

use std::sync::Arc;

use clap::Subcommand;
use serde_json::json;

use super::{Common, Failure, print};
use crate::{app::App, db::migrate};

#[derive(Debug, Subcommand)]
pub(super) enum Command {
    /// Take every step that is missing
    #[command(after_help = "Example: daypass migrate up --database-url postgres://daypass@localhost/daypass")]
    Up,
    /// Take back the last step, with the data it holds
    #[command(after_help = "Example: daypass migrate down --steps 1 --yes")]
    Down {
        /// How many steps
        #[arg(long, default_value_t = 1)]
        steps: u32,
        /// Yes, delete that data
        #[arg(long)]
        yes: bool,
    },
    /// Tell which steps have been taken
    #[command(after_help = "Example: daypass migrate status --json")]
    Status,
    /// Take back every step and take them anew: an empty database
    #[command(after_help = "Example: daypass migrate fresh --yes")]
    Fresh {
        /// Yes, delete all data
        #[arg(long)]
        yes: bool,
    },
}

impl Command {
    pub(super) async fn run(self, common: &Common) -> Result<(), Failure> {
        let app = common.open_as_is().await?;
        match self {
            Self::Up => migrate::up(&app.db).await?,
            Self::Down { yes: false, .. } | Self::Fresh { yes: false } => {
                return Err(Failure::Usage("this deletes data; say --yes if that is meant".to_owned()));
            }
            Self::Down { steps, yes: true } => migrate::down(&app.db, steps).await?,
            Self::Fresh { yes: true } => migrate::fresh(&app.db).await?,
            Self::Status => {}
        }
        status(common, &app).await
    }
}

async fn status(common: &Common, app: &Arc<App>) -> Result<(), Failure> {
    let steps = migrate::status(&app.db).await?;
    if common.json {
        let steps: Vec<_> = steps.iter().map(|step| json!({ "name": step.name, "applied": step.applied })).collect();
        print::line(format_args!("{:#}", json!(steps)));
        return Ok(());
    }
    let state = |applied| if applied { "applied" } else { "missing" };
    let rows: Vec<_> = steps.into_iter().map(|step| [step.name, state(step.applied).to_owned()]).collect();
    print::table(["STEP", "STATE"], &rows);
    Ok(())
}
