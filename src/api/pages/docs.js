import { ENDED, session, start, verify } from './sign-in.js';

let loaded = false;

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

/** Hands the token to "Try it out", once Swagger UI knows the schemes. */
function authorise() {
  if (!session || !loaded) return;
  ui.preauthorizeApiKey('bearerAuth', session.token);
  ui.preauthorizeApiKey('tokenAuth', `Token ${session.token}`);
}

start({
  invitation: 'Sign in to try operations that need a token.',
  name: 'Swagger UI',
  begun: authorise,
  ended: () => loaded && ui.authActions.logout(['bearerAuth', 'tokenAuth']),
});
