import { mend } from './docs-access.js';
import { ENDED, session, start, verify } from './sign-in.js';
import { $ } from './text.js';

let loaded = false;
let handed = null;

mend($('ui'), () => ui.authActions.showDefinitions(false));

const ui = SwaggerUIBundle({
  dom_id: '#ui',
  url: '/openapi.json',
  deepLinking: true,
  defaultModelsExpandDepth: 0,
  displayRequestDuration: true,
  docExpansion: 'list',
  persistAuthorization: false,
  tryItOutEnabled: true,
  validatorUrl: null,
  onComplete() {
    loaded = true;
    authorise();
  },
  responseInterceptor(answer) {
    // The token may have been revoked elsewhere, or just here by trying a log-out.
    if (session && (answer.status === 401 || /\/logout/.test(answer.url))) verify(session.token, ENDED).catch(() => {});
    return answer;
  },
});

/** Hands the token to "Try it out", once Swagger UI knows the schemes; and only once, so that a token that somebody put
 *  into its dialog instead stays. */
function authorise() {
  if (!session || !loaded || session.token === handed) return;
  handed = session.token;
  ui.preauthorizeApiKey('bearerAuth', session.token);
  ui.preauthorizeApiKey('tokenAuth', `Token ${session.token}`);
}

start({
  invitation: 'Sign in to try operations that need a token.',
  name: 'Swagger UI',
  begun: authorise,
  ended() {
    handed = null;
    if (loaded) ui.authActions.logout(['bearerAuth', 'tokenAuth']);
  },
});
