#!/usr/bin/env node
// The page of `wsrv demo` with its WAMP console and its session tab, and a page of our own
// that talks to the conformance server, in headless Chromium.
//
//     demo.mjs [WSRV [CONFORMANCE]]
//
// The programs default to those in target/release. CHROMIUM names the browser if
// it is not where Debian puts it. Prints a line per check; exits with 1 if one
// failed. The checks build on each other, so the first failure of a part ends it.

import assert from 'node:assert/strict';
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { mkdirSync, mkdtempSync, rmSync } from 'node:fs';
import http from 'node:http';
import { createRequire } from 'node:module';
import { createInterface } from 'node:readline';
import { fileURLToPath } from 'node:url';

const root = fileURLToPath(new URL('../../', import.meta.url));
const { chromium } = createRequire(`${root}.tools/node/`)('playwright-core');
const logs = `${root}target/test-logs`;
const PATIENCE = 15_000;
const wsrv = process.argv[2] ?? `${root}target/release/wsrv`;
const conformance = process.argv[3] ?? `${root}target/release/examples/conformance`;

// --- small tools ---------------------------------------------------------------

let passed = 0;

async function check(title, run) {
  try {
    const result = await run();
    passed += 1;
    console.log(`ok     browser: ${title}`);
    return result;
  } catch (error) {
    console.log(`FAILED browser: ${title}`);
    throw error;
  }
}

/** Asks again and again until the answer is true. */
async function eventually(what, question) {
  const end = Date.now() + PATIENCE;
  for (;;) {
    if (await question()) return;
    if (Date.now() > end) throw new Error(`did not happen in ${PATIENCE / 1000} s: ${what}`);
    await new Promise((later) => setTimeout(later, 50));
  }
}

const children = new Set();

/** Starts a server and reads its address from the line `ready ADDRESS`. */
async function serve(program, ...args) {
  const child = spawn(program, args, { stdio: ['ignore', 'pipe', 'inherit'] });
  children.add(child);
  const ended = new Promise((resolve) => {
    child.on('error', (error) => resolve(error.message));
    child.on('exit', (code, signal) => resolve(signal ?? code));
  });
  const ready = (async () => {
    for await (const line of createInterface({ input: child.stdout })) {
      const found = /^ready (\S+)$/.exec(line);
      if (found) return found[1];
    }
  })();
  const late = new Promise((resolve) => setTimeout(resolve, PATIENCE).unref());
  const address = await Promise.race([ready, ended.then(() => undefined), late]);
  assert(address, `${program} did not become ready`);
  child.stdout.resume();
  return { address, child, ended };
}

/** Interrupts a server, as Ctrl-C does, and gives its exit status. */
async function interrupt({ child, ended }) {
  child.kill('SIGINT');
  const late = new Promise((resolve) => setTimeout(resolve, PATIENCE, 'still running').unref());
  const status = await Promise.race([ended, late]);
  children.delete(child);
  return status;
}

// --- the demo page -------------------------------------------------------------

class Pane {
  constructor(page, side) {
    this.root = page.locator(`section.pane[data-pane="${side}"]`);
    this.status = this.root.locator('[data-role="status"]');
    this.messages = this.root.locator('ol.messages li.message');
  }

  async hasStatus(text) {
    await eventually(`status ${text}`, async () => (await this.status.textContent()).includes(text));
  }

  async isConnected() {
    await eventually('status connected', async () => (await this.status.textContent()).trim() === 'connected');
  }

  async say(text) {
    await this.root.locator('form.say input[name="text"]').fill(text);
    await this.root.locator('form.say button[type="submit"]').click();
  }

  async has(text) {
    return (await this.messages.locator('.what').allTextContents()).some((what) => what.includes(text));
  }

  async shows(text) {
    await eventually(`message "${text}"`, () => this.has(text));
  }
}

async function post(address, room, text) {
  const answer = await fetch(new URL(`say/${room}`, address), {
    method: 'POST',
    body: text,
    headers: { 'content-type': 'text/plain' },
  });
  await answer.arrayBuffer();
  assert(answer.ok, `POST /say/${room}: status ${answer.status}`);
}

/** A page that writes down what it complains about. */
async function openPage(browser, complaints) {
  const page = await browser.newPage();
  page.on('console', (line) => line.type() === 'error' && complaints.push(line.text()));
  page.on('pageerror', (error) => complaints.push(String(error)));
  page.on('response', (answer) => answer.status() >= 400 && complaints.push(`${answer.status()} ${answer.url()}`));
  await page.addInitScript(() => {
    document.addEventListener('securitypolicyviolation', (event) => {
      console.error(`content security policy: ${event.violatedDirective} ${event.blockedURI}`);
    });
  });
  return page;
}

async function demo(browser) {
  let server = await check('the demo starts', () => serve(wsrv, 'demo', '--listen', '127.0.0.1:0'));
  const complaints = [];
  const page = await openPage(browser, complaints);
  const [left, right] = [new Pane(page, 'left'), new Pane(page, 'right')];
  const figure = async (name) => {
    const text = await page.locator(`[data-figure="${name}"]`).first().textContent();
    return Number(text.replace(/\D/g, '') || NaN);
  };
  const frames = (direction) => page.locator(`#frames li.frame[data-direction="${direction}"]`);

  try {
    await check('the page opens and both panes connect', async () => {
      const answer = await page.goto(server.address);
      assert.equal(answer.status(), 200);
      await left.isConnected();
      await right.isConnected();
    });

    const before = await check('two connections are counted', async () => {
      await eventually('figure connections', async () => (await figure('connections')) >= 2);
      return { in: await figure('messages-in'), out: await figure('messages-out') };
    });

    await check('the figures leave out the messages that carry them', async () => {
      const pass = async (seconds) => {
        const end = (await figure('uptime')) + seconds;
        await eventually(`${seconds} s more`, async () => (await figure('uptime')) >= end);
      };
      await pass(1);
      const out = await figure('messages-out');
      await pass(2);
      assert.equal(await figure('messages-out'), out);
    });

    await check('what the left pane says, both panes show, with its name', async () => {
      await left.root.locator('input[name="name"]').fill('Ada');
      await left.say('hello from the left');
      await left.shows('hello from the left');
      await right.shows('hello from the left');
      const said = right.messages.filter({ hasText: 'hello from the left' });
      await eventually('the name', async () => (await said.locator('.who').textContent()).includes('Ada'));
    });

    await check('what looks like HTML is shown as text', async () => {
      await left.say('<b>bold & <i>slanted</i></b>');
      await right.shows('<b>bold & <i>slanted</i></b>');
    });

    await check('frames in both directions are listed', async () => {
      await eventually('a frame in', async () => (await frames('in').count()) > 0);
      await eventually('a frame out', async () => (await frames('out').count()) > 0);
    });

    await check('the figures move', async () => {
      await eventually('messages in', async () => (await figure('messages-in')) > before.in);
      await eventually('messages out', async () => (await figure('messages-out')) > before.out);
    });

    await check('a posted text appears in both panes', async () => {
      await post(server.address, 'lobby', 'posted to the lobby');
      await left.shows('posted to the lobby');
      await right.shows('posted to the lobby');
    });

    await check('another room: the right pane hears it and no longer the first', async () => {
      await right.root.locator('select[name="room"]').selectOption('garden');
      // The move has happened once a text for the new room arrives.
      let knock = 0;
      await eventually('the right pane is in the garden', async () => {
        knock += 1;
        await post(server.address, 'garden', `knock ${knock}`);
        await new Promise((later) => setTimeout(later, 100));
        return right.has('knock');
      });
      await right.isConnected();
      await left.say('only for the lobby');
      await left.shows('only for the lobby');
      // Sent later, so whatever the lobby would have brought has arrived before it.
      await post(server.address, 'garden', 'only for the garden');
      await right.shows('only for the garden');
      assert(!(await right.has('only for the lobby')), 'the right pane still hears the lobby');
      assert(!(await left.has('only for the garden')), 'the left pane hears the garden');
      assert(!(await left.has('knock')), 'the left pane hears the garden');
    });

    await page.screenshot({ path: `${logs}/demo.png` });
    await check('a thousand posted texts leave the page usable', async () => {
      for (let number = 1; number <= 1000; number += 50) {
        const some = Array.from({ length: 50 }, (_, at) => `text ${number + at};`);
        await Promise.all(some.map((text) => post(server.address, 'lobby', text)));
      }
      await post(server.address, 'lobby', 'the last of many');
      await left.shows('the last of many');
      await left.say('still here');
      await left.shows('still here');
    });

    await check('the console has no complaints', async () => assert.deepEqual(complaints, []));

    await check('Ctrl-C: the server ends well and the panes show 1001', async () => {
      assert.equal(await interrupt(server), 0, 'exit status');
      await left.hasStatus('1001');
      await right.hasStatus('1001');
    });
    await page.screenshot({ path: `${logs}/demo-closed.png` });

    await check('the reconnect buttons find a restarted server', async () => {
      server = await serve(wsrv, 'demo', '--listen', new URL(server.address).host);
      for (const pane of [left, right]) {
        await pane.root.locator('button[data-action="reconnect"]').click();
        await pane.isConnected();
      }
      await left.say('here again');
      await left.shows('here again');
      assert.equal(await interrupt(server), 0, 'exit status');
    });
  } catch (error) {
    await page.screenshot({ path: `${logs}/demo-failed.png` }).catch(() => {});
    if (complaints.length > 0) console.log(`       console: ${complaints.join('\n       ')}`);
    throw error;
  } finally {
    await page.close();
  }
}

// --- the WAMP console ------------------------------------------------------------

class Console {
  constructor(page) {
    this.page = page;
    this.root = page.locator('#panel-wamp');
    this.messages = this.root.locator('ol.frames li.frame');
    this.subscriptions = this.root.locator('[data-role="subscriptions"] li');
  }

  async isWelcomed() {
    await eventually('a session', async () => /^[0-9a-f]{32}$/.test(await this.session()));
  }

  async session() {
    return this.root.locator('[data-role="session"]').textContent();
  }

  async example(name) {
    // A tab behind another takes its time.
    await this.page.bringToFront();
    await this.root.locator(`[data-example="${name}"]`).click();
  }

  async fill(form, fields) {
    for (const [name, value] of Object.entries(fields)) {
      const field = this.root.locator(`form[data-form="${form}"] [name="${name}"]`);
      await (name === 'exclude' ? field.selectOption(value) : field.fill(value));
    }
  }

  async submit(form, fields = {}) {
    await this.page.bringToFront();
    await this.fill(form, fields);
    await this.root.locator(`form[data-form="${form}"] > button[type="submit"]`).click();
  }

  /** The contents of the rows of one type in one direction, oldest first. */
  async contents(direction, type) {
    const rows = this.root.locator(`li.frame[data-direction="${direction}"][data-type="${type}"] .content`);
    return (await rows.allTextContents()).reverse();
  }

  async shows(direction, type, text) {
    await eventually(`${type} ${text}`, async () => (await this.contents(direction, type)).some((row) => row.includes(text)));
  }

  /** An answer proves that all that was sent before it has been dealt with. */
  async settled() {
    this.asked = (this.asked ?? 1000) + 1;
    await this.submit('call', { procedure: 'http://demo.example/calc#add', arguments: `${this.asked}` });
    await this.shows('in', 'CALLRESULT', `,${this.asked}.`);
  }
}

async function wamp(browser) {
  let server = await serve(wsrv, 'demo', '--listen', '127.0.0.1:0');
  const complaints = [];
  const [ada, grace] = [
    new Console(await openPage(browser, complaints)),
    new Console(await openPage(browser, complaints)),
  ];
  const chat = 'http://demo.example/chat';

  try {
    await check('the tab opens the console, and a link does', async () => {
      await ada.page.goto(server.address);
      assert(await ada.root.isHidden());
      await ada.page.locator('#tab-chat').press('ArrowRight');
      assert(await ada.root.isVisible());
      await grace.page.goto(`${server.address}#wamp`);
      await ada.isWelcomed();
      await grace.isWelcomed();
      assert.notEqual(await ada.session(), await grace.session());
      await ada.shows('in', 'WELCOME', `[0,"${await ada.session()}",1,"wsrv/`);
    });

    await check('a call and its answer are listed, with direction, type and time', async () => {
      await ada.example('add');
      await ada.shows('out', 'CALL', '"http://demo.example/calc#add",3,4]');
      await ada.shows('in', 'CALLRESULT', ',7');
      const newest = ada.messages.first();
      assert.match(await newest.locator('.time').textContent(), /^\d\d:\d\d:\d\d\.\d{3}$/);
      assert.match(await newest.locator('.took').textContent(), /^\d+ ms$/);
      assert.equal(await newest.locator('.arrow').getAttribute('aria-label'), 'in');
      await eventually('the answer in words', async () => /#add: 7/.test(await ada.root.locator('output').textContent()));
    });

    await check('a prefix is registered and stands for its URI', async () => {
      await ada.example('curie');
      await ada.shows('out', 'PREFIX', '[1,"calc","http://demo.example/calc#"]');
      await ada.shows('out', 'CALL', '"calc:add",0.5,0.25]');
      await ada.shows('in', 'CALLRESULT', ',0.75]');
      await eventually('the list of prefixes', async () =>
        (await ada.root.locator('[data-role="prefixes"]').textContent()).includes('calc:'));
    });

    await check('errors are told, and a slow call is overtaken', async () => {
      await ada.example('wait');
      await ada.example('fail');
      await ada.example('unknown');
      await ada.shows('in', 'CALLRESULT', '2 s later');
      const answers = (await ada.root.locator('li.frame[data-direction="in"] .content').allTextContents()).reverse();
      const at = (text) => answers.findIndex((row) => row.includes(text));
      assert(at('error#division-by-zero') > 0, answers);
      assert(at('error#NoSuchRPCEndpoint') > at('error#division-by-zero'), answers);
      assert(at('2 s later') > at('error#NoSuchRPCEndpoint'), answers);
    });

    await check('what is no JSON is not sent', async () => {
      const sent = (await ada.contents('out', 'CALL')).length;
      await ada.submit('call', { arguments: '{' });
      assert.equal(await ada.root.locator('form[data-form="call"] input:invalid').count(), 1);
      await ada.settled();
      assert.equal((await ada.contents('out', 'CALL')).length, sent + 1);
    });

    await check('two tabs hear each other, and only who says so hears itself', async () => {
      for (const each of [ada, grace]) {
        await each.example('listen');
        await each.settled();
      }
      await ada.submit('publish', { topic: chat, event: '"from Ada"' });
      await grace.shows('in', 'EVENT', `[8,"${chat}","from Ada"]`);
      await grace.submit('publish', { topic: chat, event: '{"from":"Grace"}', exclude: 'true' });
      await ada.shows('in', 'EVENT', `[8,"${chat}",{"from":"Grace"}]`);
      await ada.submit('publish', { topic: chat, event: '"to all"', exclude: 'false' });
      await ada.shows('in', 'EVENT', `[8,"${chat}","to all"]`);
      await grace.shows('in', 'EVENT', `[8,"${chat}","to all"]`);
      assert.deepEqual(await ada.contents('in', 'EVENT'), [`[8,"${chat}",{"from":"Grace"}]`, `[8,"${chat}","to all"]`]);
      assert.deepEqual(await grace.contents('in', 'EVENT'), [`[8,"${chat}","from Ada"]`, `[8,"${chat}","to all"]`]);
    });

    await check('who has unsubscribed hears no more', async () => {
      await grace.root.locator(`button[aria-label="Unsubscribe from ${chat}"]`).click();
      await grace.shows('out', 'UNSUBSCRIBE', chat);
      await grace.settled();
      assert.equal(await grace.subscriptions.count(), 0);
      await ada.submit('publish', { event: '"is anybody there?"', exclude: 'false' });
      await ada.shows('in', 'EVENT', 'is anybody there?');
      await grace.settled();
      assert(!(await grace.contents('in', 'EVENT')).some((row) => row.includes('is anybody there?')));
    });

    await check('the clock ticks, and its events are counted', async () => {
      await grace.example('clock');
      await grace.shows('in', 'EVENT', '"unix_s":');
      await eventually('a count', async () => /[1-9]\d* event/.test(await grace.subscriptions.first().textContent()));
    });

    await check('what looks like HTML is shown as text, and the list of messages is bounded', async () => {
      await ada.submit('publish', { event: '"<b id=bold>bold</b>"', exclude: 'false' });
      await ada.shows('in', 'EVENT', '<b id=bold>');
      assert.equal(await ada.page.locator('#bold').count(), 0);
      for (let number = 0; number < 120; number += 1) await ada.example('add');
      await eventually('two hundred rows', async () => (await ada.messages.count()) === 200);
      await ada.settled();
      assert.equal(await ada.messages.count(), 200);
    });

    await check('a phone shows it without scrolling sideways', async () => {
      await ada.page.setViewportSize({ width: 360, height: 740 });
      for (const tab of ['chat', 'wamp']) {
        await ada.page.locator(`#tab-${tab}`).click();
        const [wide, seen] = await ada.page.evaluate(() => [document.documentElement.scrollWidth, innerWidth]);
        assert(wide <= seen, `${tab}: ${wide} in ${seen}`);
      }
    });
    await ada.page.screenshot({ path: `${logs}/demo-wamp-phone.png`, fullPage: true });
    await grace.page.screenshot({ path: `${logs}/demo-wamp.png`, fullPage: true });
    await check('the console has no complaints', async () => assert.deepEqual(complaints, []));

    await check('a restarted server gives a new session', async () => {
      const before = await grace.session();
      assert.equal(await interrupt(server), 0, 'exit status');
      await eventually('the end of the session', async () => (await grace.session()) === 'none');
      assert(await grace.root.locator('[data-example="add"]').isDisabled());
      server = await serve(wsrv, 'demo', '--listen', new URL(server.address).host);
      await grace.root.locator('button[data-action="reconnect"]').click();
      await grace.isWelcomed();
      assert.notEqual(await grace.session(), before);
      assert.equal(await grace.subscriptions.count(), 0);
      await grace.example('add');
      await grace.shows('in', 'CALLRESULT', ',7');
    });
  } catch (error) {
    await ada.page.screenshot({ path: `${logs}/wamp-failed.png` }).catch(() => {});
    if (complaints.length > 0) console.log(`       console: ${complaints.join('\n       ')}`);
    throw error;
  } finally {
    await ada.page.close();
    await grace.page.close();
    server.child.kill();
  }
}

// --- the session tab --------------------------------------------------------------

class Visitor {
  constructor(page) {
    this.page = page;
    this.root = page.locator('#panel-session');
    this.status = this.root.locator('[data-role="status"]');
  }

  async known(role) {
    return (await this.root.locator(`[data-role="${role}"]`).textContent()).trim();
  }

  async knows(role, text) {
    await eventually(`${role} ${text}`, async () => (await this.known(role)).includes(text));
  }

  async logIn(name) {
    await this.page.bringToFront();
    await this.root.locator('[name="user"]').fill(name);
    await this.root.locator('form[data-form="login"] button').click();
  }

  async click(what) {
    await this.page.bringToFront();
    await this.root.locator(what).click();
  }

  async pageSays(text) {
    await eventually(`the page says ${text}`, async () => (await this.root.locator('output').textContent()).includes(text));
  }

  /** The contents of the frames of a kind that came in, newest first. */
  async frames(kind) {
    return this.root.locator(`li.frame[data-direction="in"][data-kind="${kind}"] .content`).allTextContents();
  }

  async wasClosed(times) {
    await eventually(`closed ${times} times`, async () => {
      const closes = await this.frames('close');
      return closes.filter((close) => close === '4401 logged out').length === times;
    });
  }
}

async function session(browser) {
  const server = await serve(wsrv, 'demo', '--listen', '127.0.0.1:0');
  const complaints = [];
  // Two windows of one browser, with one cookie.
  const [one, other] = [
    new Visitor(await openPage(browser, complaints)),
    new Visitor(await openPage(browser, complaints)),
  ];

  try {
    await check('a stranger is told why they are one', async () => {
      await one.page.goto(`${server.address}#session`);
      await one.knows('state', 'NoCredentials');
      assert.match(await one.known('why'), /without the front end's cookie/);
      assert.equal(await one.known('id'), '–');
      await one.pageSays('Nobody is logged in.');
      assert(await one.root.locator('[data-page="logout"]').isDisabled());
    });

    await check('who logs in at the front end is known on the socket', async () => {
      await one.logIn('Ada <b id=bold>');
      await one.pageSays('You are Ada <b id=bold>, with 0 things in your basket.');
      await one.knows('state', 'Present');
      assert.deepEqual(JSON.parse(await one.known('values')), { basket: 0, user: 'Ada <b id=bold>' });
      assert.equal(await one.page.locator('#bold').count(), 0);
      assert.match(await one.known('id'), /^#[0-9a-f]{8}$/);
      assert.match(await one.known('ends'), /\d+:\d\d/);
      const [{ value, httpOnly, sameSite }] = await one.page.context().cookies(server.address);
      assert.deepEqual({ httpOnly, sameSite }, { httpOnly: true, sameSite: 'Strict' });
      assert(!(await one.page.content()).includes(value), 'the id itself is not shown');
      // The socket of the stranger was replaced, not closed.
      assert.deepEqual(await one.frames('close'), ['1000 reconnecting']);
    });

    await check('what the page changes is seen when it is read again', async () => {
      await one.click('[data-page="basket"]');
      await one.pageSays('one thing in your basket');
      assert.equal(JSON.parse(await one.known('values')).basket, 0);
      await one.click('[data-action="reload"]');
      await one.knows('values', '"basket":1');
    });

    await check('a log-out closes the sockets of all windows with 4401', async () => {
      await other.page.goto(`${server.address}#session`);
      await other.knows('values', 'Ada');
      assert.equal(await other.known('id'), await one.known('id'));
      await one.click('[data-page="logout"]');
      await one.pageSays('Nobody is logged in.');
      for (const visitor of [one, other]) {
        await visitor.wasClosed(1);
        // And it has come back, with a cookie that means nothing any more.
        await visitor.knows('state', 'Gone');
        assert.equal(await visitor.known('values'), '–');
      }
    });

    await check('who logs in as somebody else has another id, and the socket of before is closed', async () => {
      await one.logIn('Bob');
      await one.knows('values', 'Bob');
      const before = await one.known('id');
      await other.logIn('Eve');
      await other.knows('values', 'Eve');
      assert.notEqual(await other.known('id'), before);
      await one.wasClosed(2);
      await one.knows('values', 'Eve');
      await one.pageSays('You are Eve');
    });

    await check('another site logs nobody out', async () => {
      const url = new URL('front/logout', server.address);
      const answer = await fetch(url, { method: 'POST', headers: { origin: 'https://evil.example' } });
      assert.equal(answer.status, 403);
    });

    await one.page.screenshot({ path: `${logs}/demo-session.png`, fullPage: true });
    await check('a phone shows it without scrolling sideways', async () => {
      await one.page.setViewportSize({ width: 360, height: 740 });
      const [wide, seen] = await one.page.evaluate(() => [document.documentElement.scrollWidth, innerWidth]);
      assert(wide <= seen, `${wide} in ${seen}`);
    });
    await one.page.screenshot({ path: `${logs}/demo-session-phone.png`, fullPage: true });
    await check('the console has no complaints', async () => assert.deepEqual(complaints, []));
  } catch (error) {
    await one.page.screenshot({ path: `${logs}/session-failed.png` }).catch(() => {});
    if (complaints.length > 0) console.log(`       console: ${complaints.join('\n       ')}`);
    throw error;
  } finally {
    await one.page.close();
    await other.page.close();
    server.child.kill();
  }
}

// --- a WebSocket in a page of our own --------------------------------------------

/** Runs in the page: sends the messages, then closes; gives what came back. */
function exchange({ url, messages, code, reason }) {
  return new Promise((resolve) => {
    const ws = new WebSocket(url);
    const echoes = [];
    ws.binaryType = 'arraybuffer';
    ws.onopen = () => {
      for (const message of messages) ws.send(Array.isArray(message) ? new Uint8Array(message) : message);
    };
    ws.onmessage = ({ data }) => {
      echoes.push(typeof data === 'string' ? data : [...new Uint8Array(data)]);
      if (echoes.length === messages.length) ws.close(code, reason);
    };
    ws.onclose = ({ code, reason, wasClean }) => {
      resolve({ echoes, code, reason, wasClean, protocol: ws.protocol, extensions: ws.extensions });
    };
  });
}

async function echo(browser) {
  const server = await serve(
    conformance,
    ...['--listen', '127.0.0.1:0', '--max-message', '100000', '--deflate', 'all'],
  );
  const blank = http.createServer((_, answer) => {
    answer.setHeader('content-type', 'text/html');
    answer.end('<!doctype html><title>blank</title>');
  });
  blank.listen(0, '127.0.0.1');
  await once(blank, 'listening');
  const page = await browser.newPage();
  page.setDefaultTimeout(PATIENCE);
  const talk = (messages, code, reason) => {
    const late = new Promise((_, reject) => setTimeout(reject, PATIENCE, new Error('no close event')).unref());
    return Promise.race([page.evaluate(exchange, { url: server.address, messages, code, reason }), late]);
  };

  try {
    await page.goto(`http://127.0.0.1:${blank.address().port}/`);

    await check('text and binary are echoed, the close is clean', async () => {
      const messages = ['hello', '', 'Grüße, 日本語, 🦀', [0, 127, 128, 255], [], 'x'.repeat(70_000)];
      const { echoes, code, reason, wasClean } = await talk(messages, 1000, 'bye');
      assert.deepEqual(echoes, messages);
      assert.deepEqual({ code, reason, wasClean }, { code: 1000, reason: 'bye', wasClean: true });
    });

    await check('messages are compressed', async () => {
      const messages = Array.from({ length: 20 }, (_, number) => `${number} ${'squeeze '.repeat(number * 100)}`);
      const { echoes, extensions, code } = await talk(messages, 1000, '');
      assert.match(extensions, /^permessage-deflate/);
      assert.deepEqual({ echoes, code }, { echoes: messages, code: 1000 });
    });

    await check('a close code of the application comes back', async () => {
      const { code, wasClean } = await talk(['hello'], 4999, '');
      assert.deepEqual({ code, wasClean }, { code: 4999, wasClean: true });
    });

    await check('no subprotocol appears that was not asked for', async () => {
      assert.equal((await talk(['hello'], 1000, '')).protocol, '');
    });

    await check('a message over the limit is closed with 1009', async () => {
      const { echoes, code, wasClean } = await talk(['fits', 'x'.repeat(100_001)], 1000, '');
      assert.deepEqual({ echoes, code, wasClean }, { echoes: ['fits'], code: 1009, wasClean: true });
    });
  } finally {
    await page.close();
    blank.close();
    server.child.kill();
  }
}

// --- all of it -------------------------------------------------------------------

mkdirSync(logs, { recursive: true });
const profile = mkdtempSync(`${root}target/browser-`);
let failed = 0;
try {
  const browser = await chromium.launchPersistentContext(profile, {
    executablePath: process.env.CHROMIUM || '/usr/bin/chromium',
    headless: true,
    viewport: { width: 1280, height: 900 },
    env: { ...process.env, XDG_CONFIG_HOME: profile, XDG_CACHE_HOME: profile },
    // Only pages from this machine are opened: no sandbox is needed, which root could
    // not have, and nothing is to be fetched behind our back.
    args: [
      '--no-sandbox',
      '--disable-gpu',
      '--disable-quic',
      '--no-first-run',
      '--disable-background-networking',
      '--disable-component-update',
      '--disable-sync',
    ],
  });
  for (const part of [demo, wamp, session, echo]) {
    try {
      await part(browser);
    } catch (error) {
      failed += 1;
      console.log(`       ${error.message}`);
    }
  }
  await browser.close();
} finally {
  for (const child of children) child.kill('SIGKILL');
  rmSync(profile, { recursive: true, force: true, maxRetries: 5 });
}
console.log(`browser: ${passed} checks passed, ${failed} failed`);
process.exit(failed ? 1 : 0);
