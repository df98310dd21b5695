// Looks at the page as people do: a real browser, a phone's and a desk's size, light and dark, in every language it has.
//
//   node look.mjs PROGRAM FOLDER [--assets DIR]
//
// Runs a simulated street and fails on an error in the console, on a page wider than the screen, on anything that axe holds
// against WCAG 2.1 A and AA (contrast among it, as drawn), and on a control that the keyboard does not reach or that does not show
// that it was. Screenshots go to FOLDER. With --assets the page's files are read from there, so that they can be changed
// without building.

import { spawn } from 'node:child_process';
import { existsSync, mkdirSync, readFileSync } from 'node:fs';
import { createRequire } from 'node:module';
import { basename, extname, join } from 'node:path';
import { chromium } from 'playwright-core';

const [program, folder, flag, assets] = process.argv.slice(2);
const AXE = readFileSync(createRequire(import.meta.url).resolve('axe-core/axe.min.js'), 'utf8');
const BROWSER = ['/usr/bin/chromium', '/usr/bin/google-chrome'].find(existsSync);
const SIZES = { phone: { width: 390, height: 844 }, desk: { width: 1280, height: 900 } };
const KIND = { '.js': 'text/javascript', '.css': 'text/css', '.html': 'text/html' };
let failed = 0;

function say(fine, what) {
	console.log(`  ${fine ? 'holds' : 'FAILS'}  ${what}`);
	if (!fine) failed += 1;
}

/** The simulated street, and the address that lets one browser in. */
function street() {
	const child = spawn(program, ['demo', '--for', '60m'], { stdio: ['ignore', 'pipe', 'inherit'] });
	const address = new Promise((found, lost) => {
		let heard = '';
		child.stdout.on('data', (more) => {
			const url = /http:\S+#code=\S+/.exec((heard += more));
			if (url) found(url[0]);
		});
		child.on('exit', (code) => lost(new Error(`the demo ended with ${code}`)));
	});
	return { child, address };
}

async function open(browser, url, name, options) {
	const context = await browser.newContext({ ...options, reducedMotion: 'reduce' });
	const page = await context.newPage();
	const errors = [];
	page.on('console', (m) => { if (m.type() === 'error') errors.push(m.text()); });
	page.on('pageerror', (e) => errors.push(String(e)));
	if (flag === '--assets') {
		await page.route('**/*', (route) => {
			const path = new URL(route.request().url()).pathname, file = join(assets, path === '/' ? 'index.html' : basename(path));
			return path.startsWith('/api') || !existsSync(file) ? route.continue() : route.fulfill({ body: readFileSync(file), contentType: KIND[extname(file)] ?? 'image/svg+xml' });
		});
	}
	await page.goto(url);
	return { context, page, errors, name };
}

/** The contrast of every text as drawn, by WCAG 2.1 (1.4.3): what axe leaves open because something lies over or under it too. */
function contrasts() {
	const colour = (said) => {
		const n = (said.match(/-?[\d.]+(e-?\d+)?/g) ?? [0, 0, 0, 0]).map(Number), scale = said.startsWith('color(') ? 255 : 1;
		return [n[0] * scale, n[1] * scale, n[2] * scale, n[3] ?? 1];
	};
	const over = (top, under) => [0, 1, 2].map((i) => top[i] * top[3] + under[i] * (1 - top[3])).concat(1);
	const light = (c) => {
		const [r, g, b] = c.slice(0, 3).map((v) => (v / 255 <= 0.04045 ? v / 255 / 12.92 : ((v / 255 + 0.055) / 1.055) ** 2.4));
		return 0.2126 * r + 0.7152 * g + 0.0722 * b;
	};
	const page = colour(getComputedStyle(document.body).backgroundColor), out = [];
	const texts = document.createTreeWalker(document.body, NodeFilter.SHOW_TEXT);
	while (texts.nextNode()) {
		const node = texts.currentNode.parentElement;
		if (!/[\p{L}\p{N}]/u.test(texts.currentNode.data) || !node.checkVisibility({ visibilityProperty: true }) || node.closest('.sr,script,noscript,option,select,title')) continue;
		const style = getComputedStyle(node), layers = [];
		let fade = 1;
		for (let at = node; at; at = at.parentElement) {
			layers.push(colour(getComputedStyle(at).backgroundColor));
			fade *= Number(getComputedStyle(at).opacity);
		}
		const ground = layers.reverse().reduce((under, top) => over(top, under), page);
		const said = colour(node instanceof SVGElement ? style.fill : style.color), ink = over([...said.slice(0, 3), said[3] * fade], ground);
		const [a, b] = [light(ink), light(ground)].sort((x, y) => y - x), size = parseFloat(style.fontSize);
		const large = size >= 24 || (size >= 18.66 && Number(style.fontWeight) >= 700);
		out.push({ ratio: (a + 0.05) / (b + 0.05), least: large ? 3 : 4.5, text: texts.currentNode.data.trim().slice(0, 30) });
	}
	return out;
}

async function judge({ page, errors, name }) {
	const wide = await page.evaluate(() => [document.documentElement.scrollWidth, innerWidth]);
	say(wide[0] <= wide[1], `${name}: ${wide[0]} of ${wide[1]} pixels wide`);
	// As high as the page, so that all of it is drawn: what is out of sight has no measurable ground.
	const before = page.viewportSize(), high = await page.evaluate(() => document.documentElement.scrollHeight);
	await page.setViewportSize({ width: before.width, height: Math.max(before.height, high + 600) });
	await page.waitForTimeout(500);
	// By the debugger, since the page's own policy lets no foreign script in.
	await page.evaluate(AXE);
	const found = await page.evaluate(() => axe.run(document, { runOnly: ['wcag2a', 'wcag2aa', 'wcag21a', 'wcag21aa'], resultTypes: ['violations', 'incomplete', 'passes'] }));
	const contrast = (list) => list.filter((r) => r.id === 'color-contrast').flatMap((r) => r.nodes);
	const all = await page.evaluate(contrasts), pale = all.filter((t) => t.ratio < t.least).map((t) => `“${t.text}” ${t.ratio.toFixed(2)}`);
	say(all.length > 0 && !pale.length, `${name}: contrast of ${all.length} texts, the least ${Math.min(...all.map((t) => t.ratio)).toFixed(2)} ${pale.slice(0, 8).join(' | ')}`);
	await page.setViewportSize(before);
	const worst = (n) => n.any.find((c) => c.data?.contrastRatio)?.data;
	const wrong = found.violations.flatMap((v) => v.nodes.map((n) => {
		const d = worst(n);
		return `${v.id} ${n.target.join(' ')}${d ? ` ${d.contrastRatio} (${d.fgColor} on ${d.bgColor})` : ''}`;
	}));
	say(!wrong.length, `${name}: axe, ${found.passes.length} rules, contrast of ${contrast(found.passes).length} texts by its own reckoning${wrong.length ? '\n           ' + wrong.slice(0, 12).join('\n           ') : ''}`);
	say(!errors.length, `${name}: nothing in the console ${errors.join(' | ')}`);
}

/** Tabs from the top until nothing new comes; what can be focused and was not is named. */
async function walk({ page, name }) {
	await page.evaluate(() => { document.activeElement?.blur(); scrollTo(0, 0); });
	const wanted = await page.evaluate(() => {
		const all = [...document.querySelectorAll('a[href],button,input,select,summary,[tabindex="0"]')];
		const seen = all.filter((n) => !n.disabled && n.checkVisibility({ visibilityProperty: true }) && !n.closest('details:not([open])>:not(summary)'));
		seen.forEach((n, i) => { n.dataset.walk = i; });
		return seen.length;
	});
	const reached = new Set(), blind = new Set();
	for (let step = 0; step < wanted + 5; step++) {
		await page.keyboard.press('Tab');
		const at = await page.evaluate(async () => {
			// The next picture: cards that come into view are laid out first.
			await new Promise((go) => requestAnimationFrame(() => requestAnimationFrame(go)));
			const n = document.activeElement, style = getComputedStyle(n), box = n.getBoundingClientRect();
			const shown = (style.outlineStyle !== 'none' && parseFloat(style.outlineWidth) >= 1) && box.bottom > 0 && box.top < innerHeight;
			return { walk: n.dataset?.walk, shown, what: `${n.tagName} ${n.id || n.textContent.trim().slice(0, 30)} at ${Math.round(box.top)}, outline ${style.outlineStyle} ${style.outlineWidth}` };
		});
		if (at.walk == null) continue;
		reached.add(at.walk);
		if (!at.shown) blind.add(at.what);
	}
	const missed = await page.evaluate((r) => [...document.querySelectorAll('[data-walk]')].filter((n) => n.checkVisibility() && !r.includes(n.dataset.walk)).map((n) => `${n.tagName} ${n.id || n.textContent.trim().slice(0, 30)}`), [...reached]);
	say(!missed.length && !blind.size, `${name}: the keyboard reaches ${reached.size} of ${wanted} controls and shows where it is ${[...missed, ...blind].slice(0, 8).join(' | ')}`);
}

const drawn = (page) => page.waitForFunction(() => document.querySelectorAll('.home').length > 0 && document.querySelectorAll('#devices tr').length > 0, null, { timeout: 60000 });

async function main() {
	if (!BROWSER) throw new Error('no chromium here: apt-get install chromium');
	mkdirSync(folder, { recursive: true });
	const { child, address } = street();
	const browser = await chromium.launch({ executablePath: BROWSER, args: ['--no-sandbox'] });
	try {
		const url = await address, base = url.split('#')[0];
		const door = await open(browser, base, 'door, phone', { viewport: SIZES.phone });
		await door.page.waitForSelector('#door:not([hidden]) input');
		// The browser itself tells of the 401 by which the page learns that nobody is signed in.
		door.errors.splice(0, door.errors.length, ...door.errors.filter((e) => !e.includes('401')));
		await judge(door);
		await walk(door);
		const first = await open(browser, url, 'desk, light, en', { viewport: SIZES.desk, locale: 'en-GB' });
		await drawn(first.page);
		const state = await first.context.storageState();
		// Once more with an empty cache, as a visitor who is signed in sees it.
		const timed = await open(browser, base, 'timed', { viewport: SIZES.phone, storageState: state, locale: 'en-GB' });
		await drawn(timed.page);
		const cost = await timed.page.evaluate(() => {
			const all = [...performance.getEntriesByType('navigation'), ...performance.getEntriesByType('resource')];
			return {
				paint: performance.getEntriesByName('first-contentful-paint')[0]?.startTime, drawn: performance.now(),
				files: all.filter((e) => !e.name.includes('/api/')).length,
				bytes: all.filter((e) => !e.name.includes('/api/')).reduce((a, e) => a + e.transferSize, 0),
			};
		});
		console.log(`  first paint ${Math.round(cost.paint)} ms, homes drawn by ${Math.round(cost.drawn)} ms, ${cost.files} files of ${cost.bytes} bytes on the wire`);
		const tongues = await timed.page.evaluate(async () => (await import('./words.js')).languages);
		for (const [size, viewport] of Object.entries(SIZES)) {
			for (const colorScheme of ['light', 'dark']) {
				for (const locale of tongues) {
					const seen = await open(browser, base, `${size}, ${colorScheme}, ${locale}`, { viewport, colorScheme, locale, storageState: state });
					await drawn(seen.page);
					// A moment, for the second picture and what only it brings.
					await seen.page.waitForTimeout(3000);
					await seen.page.screenshot({ path: join(folder, `${size}-${colorScheme}-${locale}.png`), fullPage: true });
					await judge(seen);
					const { lang, unsaid } = await seen.page.evaluate(async () => ({ lang: document.documentElement.lang, unsaid: [...(await import('./words.js')).unsaid] }));
					say(!unsaid.length, `${seen.name}: every phrase of the page is in “${lang}” ${unsaid.slice(0, 12).join(' | ')}`);
					if (colorScheme === 'light' && locale === tongues[0]) await walk(seen);
					await seen.context.close();
				}
			}
		}
	} finally {
		await browser.close();
		child.kill('SIGTERM');
	}
}

try {
	await main();
} catch (error) {
	say(false, String(error));
}
console.log(failed ? `${failed} failed` : 'all holds');
process.exit(failed ? 1 : 0);
