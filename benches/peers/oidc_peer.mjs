// oidc-provider with one client that gets opaque tokens and introspects them; what it knows is in memory.
import Provider from "oidc-provider";

const port = Number(process.argv[2]);
const provider = new Provider(`http://127.0.0.1:${port}`, {
    clients: [
        {
            client_id: "bench",
            client_secret: "violet-lamps-hum-quietly",
            grant_types: ["client_credentials"],
            response_types: [],
            redirect_uris: [],
        },
    ],
    features: {
        clientCredentials: { enabled: true },
        devInteractions: { enabled: false },
        introspection: { enabled: true },
    },
});
provider.listen(port, "127.0.0.1");
