// A log-in with express-session and connect-redis. STORE is the Redis, PORT where to listen, SECRET what ids are signed with.

// The packages are not beside this file.
const require_ = require('node:module').createRequire(`${process.env.NODE_PACKAGES}/`);
const express = require_('express');
const flash = require_('connect-flash');
const session = require_('express-session');
const { RedisStore } = require_('connect-redis');
const { createClient } = require_('redis');

const client = createClient({ url: process.env.STORE, socket: { reconnectStrategy: 100 } });
// It connects again.
client.on('error', ({ message }) => console.error(message));
client.connect();

const app = express();
app.use(session({
  store: new RedisStore({ client }), secret: process.env.SECRET, resave: false, saveUninitialized: false,
}));
app.use(flash());
app.get('/login', (request, answer, next) => {
  request.session.regenerate((error) => {
    if (error) return next(error);
    request.session.user = request.query.u;
    request.session.roles = ['admin', 'staff'];
    request.flash('notice', 'Welcome');
    answer.json({ user: request.session.user });
  });
});
app.get('/whoami', (request, answer) => {
  const { user = null, roles = [] } = request.session;
  answer.json({ user, roles, notices: request.flash('notice') });
});
app.get('/logout', (request, answer) => request.session.destroy(() => answer.json({})));
app.get('/slow', (request, answer) => setTimeout(() => answer.json({ user: request.session.user ?? null }), 3000));
app.listen(process.env.PORT, '127.0.0.1');
