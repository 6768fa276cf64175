#!/usr/bin/env node
// A person before a browser, for tests/tests/dashboard and tests/tests/web.rs: does what the lines of its input say, one after the other,
// and answers each with a line. A line is a JSON object with `do` and what that needs; the answer is {"ok": …} or
// {"problem": text}. What is to be seen is waited for.
//
// Chromium runs without a screen and without its own conversations with the network.
'use strict';

const readline = require('node:readline');
const { chromium } = require('playwright-core');

const PATIENCE_MS = 60_000;
const FLAGS = ['--headless', '--no-sandbox', '--disable-gpu', '--disable-background-networking', '--disable-dev-shm-usage'];

let browser;
let page;
const hosts = new Set();
const complaints = [];

/** Opens a page of its own, as someone with this screen and theme. */
async function open({ url, width = 1280, height = 900, scheme = 'light' }) {
  await page?.context().close();
  const context = await browser.newContext({
    viewport: { width, height }, colorScheme: scheme, reducedMotion: 'reduce', locale: 'en-GB',
    ignoreHTTPSErrors: true, // the authorities of tests are nobody's
  });
  page = await context.newPage();
  page.setDefaultTimeout(PATIENCE_MS);
  page.on('request', (request) => hosts.add(new URL(request.url()).host));
  page.on('console', (line) => line.type() === 'error' && complaints.push(line.text()));
  page.on('pageerror', (error) => complaints.push(String(error)));
  page.on('dialog', (dialog) => {
    complaints.push(`a dialog: ${dialog.message()}`);
    dialog.dismiss();
  });
  await page.goto(url);
}

/** Waits until what `at` selects has `text` in it, or not. */
async function see({ at, text, not = false }) {
  const seen = async () => {
    const shown = await page.locator(at).allInnerTexts();
    return shown.some((it) => it.replace(/\s+/g, ' ').includes(text)) !== not;
  };
  const until = Date.now() + PATIENCE_MS;
  while (!(await seen())) {
    if (Date.now() > until) throw new Error(`${at} shows ${JSON.stringify(await page.locator(at).allInnerTexts())}`);
    await page.waitForTimeout(25);
  }
}

/** Goes on with Tab until the focus is on what `at` selects, and says how often that took. */
async function tabTo({ at }) {
  for (let count = 1; count <= 100; count += 1) {
    await page.keyboard.press('Tab');
    if (await page.evaluate((selector) => document.activeElement.matches(selector), at)) return count;
  }
  throw new Error(`the focus never comes to ${at}`);
}

const steps = {
  open,
  see,
  tabTo,
  press: ({ key }) => page.keyboard.press(key),
  click: ({ at }) => page.locator(at).click(),
  choose: ({ at, value }) => page.locator(at).selectOption(value),
  type: ({ text }) => page.keyboard.type(text),
  /** What somebody hears who does not see it. */
  roles: ({ at }) => page.locator(at).ariaSnapshot(),
  /** One number or text of the document. */
  ask: ({ script }) => page.evaluate(script),
  picture: ({ file, full = false }) => page.screenshot({ path: file, fullPage: full, animations: 'disabled' }).then(() => null),
  /** What it asked for, and what it complained about. */
  report: () => ({ hosts: [...hosts], complaints }),
};

async function main() {
  browser = await chromium.launch({ executablePath: process.argv[2], args: FLAGS, timeout: 2 * PATIENCE_MS });
  for await (const line of readline.createInterface({ input: process.stdin })) {
    const step = JSON.parse(line);
    try {
      console.log(JSON.stringify({ ok: (await steps[step.do](step)) ?? null }));
    } catch (error) {
      console.log(JSON.stringify({ problem: error.message }));
    }
  }
  await browser.close();
}

main();
