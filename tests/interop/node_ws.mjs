#!/usr/bin/env node
// The npm package `ws`, and Node's own HTTP client, as clients of a server.
//
//     node_ws.mjs URL LIMITED_URL
//
// Both servers must echo; the one at LIMITED_URL takes messages of at most 1000
// bytes. Prints a line per check; exits with 1 if one failed.

import assert from 'node:assert/strict';
import { randomBytes } from 'node:crypto';
import { once } from 'node:events';
import http from 'node:http';
import { createRequire } from 'node:module';
import net from 'node:net';
import { run } from './checks.mjs';

const tools = createRequire(new URL('../../.tools/node/', import.meta.url));
const WebSocket = tools('ws');

const [url, limited] = process.argv.slice(2);
if (!limited) {
  console.error('usage: node_ws.mjs URL LIMITED_URL');
  process.exit(2);
}

/** A connection whose events can be awaited in the order in which they came. */
class Peer {
  constructor(address, options) {
    this.ws = new WebSocket(address, { perMessageDeflate: false, ...options });
    this.events = [];
    this.ws.on('upgrade', (answer) => (this.extensions = answer.headers['sec-websocket-extensions'] ?? ''));
    this.ws.on('open', () => this.push({ open: true }));
    this.ws.on('message', (data, isBinary) => this.push({ message: isBinary ? data : data.toString() }));
    this.ws.on('pong', (data) => this.push({ pong: data.toString('latin1') }));
    this.ws.on('close', (code, reason) => this.push({ close: code, reason: reason.toString() }));
    this.ws.on('error', (error) => this.push({ error: error.message }));
  }

  push(event) {
    this.events.push(event);
    this.wake?.();
  }

  async next() {
    while (this.events.length === 0) await new Promise((wake) => (this.wake = wake));
    return this.events.shift();
  }

  async expect(event) {
    assert.deepEqual(await this.next(), event);
  }

  async expectEcho(message) {
    this.ws.send(message);
    await this.expect({ message });
  }
}

async function connected(address, use, options) {
  const peer = new Peer(address, options);
  try {
    await peer.expect({ open: true });
    await use(peer);
  } finally {
    peer.ws.terminate();
  }
}

/** Sends a request that must be refused; gives the answer. */
async function refusal(options, statuses) {
  const request = http.request(url.replace('ws:', 'http:'), { agent: false, ...options });
  request.end();
  const [answer] = await once(request, 'response');
  const body = Buffer.concat(await answer.toArray());
  assert(statuses.includes(answer.statusCode), `status ${answer.statusCode}, expected ${statuses}`);
  assert.equal(answer.headers['content-length'], String(body.length), 'Content-Length');
  return answer;
}

const handshake = {
  Upgrade: 'websocket',
  Connection: 'Upgrade',
  'Sec-WebSocket-Key': randomBytes(16).toString('base64'),
  'Sec-WebSocket-Version': '13',
};

const checks = {
  text: () => connected(url, (peer) => peer.expectEcho('hello')),

  binary: () => connected(url, (peer) => peer.expectEcho(Buffer.from([0, 1, 127, 128, 255]))),

  'empty text and empty binary': () =>
    connected(url, async (peer) => {
      await peer.expectEcho('');
      await peer.expectEcho(Buffer.alloc(0));
    }),

  'text outside ASCII': () => connected(url, (peer) => peer.expectEcho('Grüße, κόσμε, 日本語, 🦀, \u{10ffff}')),

  ...Object.fromEntries(
    [125, 126, 65535, 65536, 1024 * 1024].map((size) => [
      `${size} bytes, text and binary`,
      () =>
        connected(url, async (peer) => {
          await peer.expectEcho('x'.repeat(size));
          await peer.expectEcho(randomBytes(size));
        }),
    ]),
  ),

  'fragments come back as one message': () =>
    connected(url, async (peer) => {
      peer.ws.send('one ', { fin: false });
      peer.ws.send('', { fin: false });
      peer.ws.send('two', { fin: true });
      await peer.expect({ message: 'one two' });
    }),

  ...Object.fromEntries(
    [
      {},
      { serverNoContextTakeover: true },
      { clientNoContextTakeover: true },
      { serverMaxWindowBits: 10, clientMaxWindowBits: 9 },
    ].map((offer) => [
      `messages are compressed both ways, with ${JSON.stringify(offer)}`,
      () =>
        connected(
          url,
          async (peer) => {
            const agreed = peer.extensions;
            assert(agreed.startsWith('permessage-deflate'), agreed);
            for (const [name, wanted] of Object.entries(offer)) {
              const parameter = name.replace(/[A-Z]/g, (letter) => `_${letter.toLowerCase()}`);
              assert(agreed.includes(wanted === true ? parameter : `${parameter}=${wanted}`), agreed);
            }
            const { _socket: socket } = peer.ws;
            const [read, written] = [socket.bytesRead, socket.bytesWritten];
            for (let number = 0; number < 50; number += 1) {
              await peer.expectEcho(`${number} ${'squeeze '.repeat(1000)}`);
              await peer.expectEcho(Buffer.alloc(5000, number));
              await peer.expectEcho('');
              await peer.expectEcho(randomBytes(100));
            }
            const limit = 50 * 500;
            assert(socket.bytesRead - read < limit, `${socket.bytesRead - read} bytes came`);
            assert(socket.bytesWritten - written < limit, `${socket.bytesWritten - written} bytes went`);
          },
          { perMessageDeflate: { threshold: 0, ...offer } },
        ),
    ]),
  ),

  'compressed fragments come back as one message': () =>
    connected(
      url,
      async (peer) => {
        for (let number = 0; number < 10; number += 1) {
          peer.ws.send(`${number} ${'one '.repeat(1000)}`, { fin: false });
          peer.ws.ping('between');
          peer.ws.send('two '.repeat(1000), { fin: true });
          await peer.expect({ pong: 'between' });
          await peer.expect({ message: `${number} ${'one '.repeat(1000)}${'two '.repeat(1000)}` });
        }
      },
      { perMessageDeflate: { threshold: 0 } },
    ),

  'a compressed message over the limit is closed with 1009': () =>
    connected(
      limited,
      async (peer) => {
        await peer.expectEcho('x'.repeat(1000));
        peer.ws.send('x'.repeat(1001));
        assert.equal((await peer.next()).close, 1009);
      },
      { perMessageDeflate: { threshold: 0 } },
    ),

  '200 messages sent before the first echo is read keep their order': () =>
    connected(url, async (peer) => {
      const messages = Array.from({ length: 200 }, (_, number) => `message ${number}`);
      for (const message of messages) peer.ws.send(message);
      for (const message of messages) await peer.expect({ message });
    }),

  '200 connections at the same time': async () => {
    const peers = Array.from({ length: 200 }, () => new Peer(url));
    try {
      for (const peer of peers) await peer.expect({ open: true });
      peers.forEach((peer, number) => peer.ws.send(`connection ${number}`));
      for (const [number, peer] of peers.entries()) await peer.expect({ message: `connection ${number}` });
    } finally {
      for (const peer of peers) peer.ws.terminate();
    }
  },

  'a pong carries the payload of its ping': () =>
    connected(url, async (peer) => {
      for (const payload of ['', 'payload', 'x'.repeat(125)]) {
        peer.ws.ping(payload);
        await peer.expect({ pong: payload });
      }
    }),

  'a ping between two fragments is answered before the message is whole': () =>
    connected(url, async (peer) => {
      peer.ws.send('before ', { fin: false });
      peer.ws.ping('between');
      await peer.expect({ pong: 'between' });
      peer.ws.send('after', { fin: true });
      await peer.expect({ message: 'before after' });
    }),

  'closing with 1000 and a reason is answered alike': () =>
    connected(url, async (peer) => {
      peer.ws.close(1000, 'bye');
      await peer.expect({ close: 1000, reason: 'bye' });
    }),

  'close codes 3000 and 4999 are answered alike': async () => {
    for (const code of [3000, 4999]) {
      await connected(url, async (peer) => {
        peer.ws.close(code);
        assert.equal((await peer.next()).close, code);
      });
    }
  },

  'a message over the limit is closed with 1009, one at the limit is echoed': () =>
    connected(limited, async (peer) => {
      await peer.expectEcho(Buffer.alloc(1000));
      peer.ws.send(Buffer.alloc(1001));
      assert.equal((await peer.next()).close, 1009);
    }),

  'a frame in the same packet as the request is not lost': async () => {
    const { host, hostname, port } = new URL(url);
    const socket = net.connect(Number(port), hostname);
    const head = Object.entries({ Host: host, ...handshake }).map(([name, value]) => `${name}: ${value}\r\n`);
    const frame = Buffer.from([0x81, 0x85, 1, 2, 3, 4, ...[...Buffer.from('early')].map((b, i) => b ^ ((i % 4) + 1))]);
    socket.write(Buffer.concat([Buffer.from(`GET / HTTP/1.1\r\n${head.join('')}\r\n`), frame]));
    let answer = '';
    try {
      for await (const chunk of socket) {
        answer += chunk.toString('latin1');
        if (answer.endsWith('\x81\x05early')) break;
      }
    } finally {
      socket.destroy();
    }
    assert.match(answer, /^HTTP\/1\.1 101 [^]*\r\n\r\n\x81\x05early$/);
  },

  'another version: 426 that names version 13': async () => {
    const answer = await refusal({ headers: { ...handshake, 'Sec-WebSocket-Version': '8' } }, [426]);
    assert.equal(answer.headers['sec-websocket-version'], '13');
  },

  'POST: 405 that allows GET': async () => {
    const answer = await refusal({ method: 'POST', headers: { ...handshake, 'Content-Length': '0' } }, [405]);
    assert.equal(answer.headers.allow, 'GET');
  },

  'no Host: 400': () => refusal({ setHost: false, headers: handshake }, [400]),

  'a head over 16 KiB: 431': () =>
    refusal({ headers: { ...handshake, 'X-Padding': 'x'.repeat(17 * 1024) } }, [431]),

  'an ordinary GET: 426 or 404, and the connection ends': async () => {
    const answer = await refusal({ headers: { Connection: 'keep-alive' } }, [426, 404]);
    const options = (answer.headers.connection ?? '').toLowerCase().split(/\s*,\s*/);
    assert.ok(options.includes('close'), `Connection: ${options}`);
  },
};

await run('node', checks);
