#!/usr/bin/env node
// The npm package `wamp1`, a WAMP version 1 client for browsers and Node, as a client of a server.
//
//     wamp_node.mjs URL CRA_URL
//
// Both are of the example `conformance`, the second where clients sign in. Prints a line per check; exits with 1 if one
// failed.

import assert from 'node:assert/strict';
import { createHmac, pbkdf2Sync } from 'node:crypto';
import { createRequire } from 'node:module';
import { run } from './checks.mjs';

const tools = createRequire(new URL('../../.tools/node/', import.meta.url));
const WebSocket = tools('ws');
const Wamp = tools('wamp1');

const CALC = 'http://example.com/calc#';
const EVENT = 'http://example.com/event#';
const ERROR = 'http://api.wamp.ws/error#';
const PROCEDURE = 'http://api.wamp.ws/procedure#';
const [url, craUrl] = process.argv.slice(2);
if (!craUrl) {
  console.error('usage: wamp_node.mjs URL CRA_URL');
  process.exit(2);
}

/** A session, once it is welcome. The package takes a socket that is made for it, since it asks for no subprotocol. */
async function session(address = url) {
  const socket = new WebSocket(address, 'wamp');
  open.push(socket);
  const wamp = await new Promise((resolve, reject) => {
    socket.on('error', reject);
    const made = new Wamp(socket, (welcome) => resolve(Object.assign(made, { welcome })));
  });
  wamp.ask = (uri, ...args) =>
    new Promise((resolve, reject) => wamp.call(uri, ...args, (error, result) => (error ? reject(error) : resolve(result))));
  return wamp;
}
const open = [];

/** The events of a topic, which the server knows to be subscribed to. */
async function listen(wamp, topic) {
  const events = [];
  wamp.subscribe(topic, (event) => events.push(event));
  await wamp.ask(`${CALC}add`, 0, 0);
  return events;
}

const fails = (promise, uri) => assert.rejects(promise, (error) => (assert.equal(error.uri, uri), true));

function answer(challenge, secret) {
  const { salt, keylen, iterations } = JSON.parse(challenge).authextra ?? {};
  const key = salt ? pbkdf2Sync(secret, salt, iterations, keylen, 'sha256').toString('base64') : secret;
  return createHmac('sha256', key).update(challenge).digest('base64');
}

async function signIn(wamp, key, secret) {
  const challenge = await wamp.ask(`${PROCEDURE}authreq`, key);
  return wamp.ask(`${PROCEDURE}auth`, answer(challenge, secret));
}

const checks = {
  'the WELCOME names a session, version 1 and the server': async () => {
    const wamp = await session();
    assert.equal(wamp.welcome.version, 1);
    assert.match(wamp.welcome.server, /^wsrv\//);
    assert.equal(await wamp.ask('http://example.com/session#id'), wamp.welcome.sessionId);
  },

  'calls by URI and by prefix': async () => {
    const wamp = await session();
    wamp.prefix('calc', CALC);
    assert.equal(await wamp.ask(`${CALC}add`, 23, 7), 30);
    assert.equal(await wamp.ask('calc:sum', [9, 1, 3, 4]), 17);
  },

  'all kinds of JSON come back as they were': async () => {
    const wamp = await session();
    const values = [null, true, 0, -1, 2 ** 53, 0.5, '', 'äöü€😀\u0000"\\', [], [[1]], {}, { a: { b: [null] } }];
    for (const value of values) assert.deepEqual(await wamp.ask(`${CALC}echo`, value), value);
    assert.deepEqual(await wamp.ask(`${CALC}args`, ...values), values);
  },

  'errors have their URI, description and details': async () => {
    const wamp = await session();
    const failed = await wamp.ask(`${CALC}fail`).catch((error) => error);
    assert.deepEqual([failed.uri, failed.message, failed.details], ['http://example.com/error#failed', 'it failed', { code: 7 }]);
    await fails(wamp.ask(`${CALC}missing`), `${ERROR}NoSuchRPCEndpoint`);
  },

  'results overtake each other': async () => {
    const wamp = await session();
    const order = [];
    const calls = [300, 150, 0].map((millis) => wamp.ask(`${CALC}slow`, millis, millis).then((got) => order.push(got)));
    await Promise.all(calls);
    assert.deepEqual(order, [0, 150, 300]);
  },

  'a topic by its URI and by a prefix is subscribed to once': async () => {
    const [one, other] = [await session(), await session()];
    one.prefix('event', EVENT);
    const byUri = await listen(one, `${EVENT}node`);
    const byPrefix = await listen(one, 'event:node');
    other.publish(`${EVENT}node`, { hello: 1 });
    await other.ask(`${CALC}echo`, 0);
    await one.ask(`${CALC}echo`, 0);
    assert.deepEqual([byUri, byPrefix], [[{ hello: 1 }], [{ hello: 1 }]]);
    one.unsubscribe(`${EVENT}node`);
    await one.ask(`${CALC}echo`, 0);
    other.publish(`${EVENT}node`, 2);
    await other.ask(`${CALC}echo`, 0);
    await one.ask(`${CALC}echo`, 0);
    assert.equal(byPrefix.length, 1);
  },

  'exclude and eligible': async () => {
    const [me, you, she] = [await session(), await session(), await session()];
    const sessions = [me, you, she];
    const events = await Promise.all(sessions.map((wamp) => listen(wamp, `${EVENT}who`)));
    const [mine, yours, hers] = sessions.map((wamp) => wamp.welcome.sessionId);
    me.publish(`${EVENT}who`, 'others');
    me.publish(`${EVENT}who`, 'all', false);
    me.publish(`${EVENT}who`, 'not you', [yours]);
    me.publish(`${EVENT}who`, 'you', [], [yours]);
    me.publish(`${EVENT}who`, 'nobody', [hers], [hers]);
    me.publish(`${EVENT}who`, 'me', [], [mine]);
    for (const wamp of sessions) await wamp.ask(`${CALC}echo`, 0);
    assert.deepEqual(events, [['all', 'not you', 'me'], ['others', 'all', 'you'], ['others', 'all', 'not you']]);
  },

  'signing in with a secret and with a salted password': async () => {
    const [alice, bob] = [await session(craUrl), await session(craUrl)];
    await fails(alice.ask(`${CALC}add`, 1, 2), `${ERROR}NoSuchRPCEndpoint`);
    await fails(signIn(alice, 'alice', 'wrong'), `${ERROR}invalid-signature`);
    assert.deepEqual((await signIn(alice, 'alice', 'secret123')).rpc, [{ uri: `${CALC}add`, call: true }]);
    assert.deepEqual((await signIn(bob, 'bob', 'pa55word')).rpc, [{ uri: `${CALC}add`, call: true }]);
    const events = await listen(bob, `${EVENT}z`);
    alice.publish(`${EVENT}z`, 'hello');
    await alice.ask(`${CALC}add`, 1, 2);
    await bob.ask(`${CALC}add`, 1, 2);
    assert.deepEqual(events, ['hello']);
    await fails(signIn(bob, 'bob', 'pa55word'), `${ERROR}already-authenticated`);
  },
};

await run('wamp1', checks, () => {
  for (const socket of open.splice(0)) socket.terminate();
});
