// One snapshot in, the existing nodes patched. Data only ever becomes text, never markup.

import { leave, onEnter, post } from './access.js';
import { phrase, translate } from './words.js';

const $ = (id) => document.getElementById(id);
const buttons = document.querySelectorAll('[data-show]');
const SAMPLES = 60;
const QUIET_MS = 15000;

// -- patching: touch the document only where something changed

const said = new WeakMap();
function memo(node, key, value) {
	let seen = said.get(node);
	if (!seen) said.set(node, (seen = {}));
	if (seen[key] === value) return false;
	seen[key] = value;
	return true;
}
function text(node, value) {
	value = value ?? '';
	if (memo(node, 'text', value)) node.textContent = value;
}
function attr(node, name, value) {
	if (!memo(node, '@' + name, value)) return;
	if (value == null) node.removeAttribute(name);
	else node.setAttribute(name, value);
}
const put = (id, value) => text($(id), value);
const show = (node, on) => attr(node, 'hidden', on ? null : '');
const icon = (use, name) => attr(use, 'href', '#i-' + name);

function stamp(id) {
	const root = $(id).content.firstElementChild.cloneNode(true);
	const refs = { root };
	for (const node of root.querySelectorAll('[data-f]')) refs[node.dataset.f] = node;
	if (root.dataset.f) refs[root.dataset.f] = root;
	return refs;
}

/** Keeps `parent`'s children one to one with `items`, by key, moving only what is out of place. */
function keyed(parent, pool, template, items, keyOf, fill) {
	const gone = new Set(pool.keys());
	let place = parent.firstElementChild;
	for (const item of items) {
		const key = keyOf(item);
		gone.delete(key);
		let refs = pool.get(key);
		if (!refs) pool.set(key, (refs = stamp(template)));
		fill(refs, item);
		if (refs.root === place) place = place.nextElementSibling;
		else parent.insertBefore(refs.root, place);
	}
	for (const key of gone) {
		pool.get(key).root.remove();
		pool.delete(key);
	}
}

// -- words and numbers

const NB = '\u00a0';
const num = (value, digits = 0) =>
	Number(value).toLocaleString('en-GB', { minimumFractionDigits: digits, maximumFractionDigits: digits }).replace('-', '\u2212');
function watts(w) {
	if (w == null) return ['–', ''];
	return Math.abs(w) < 10000 ? [num(w), 'W'] : [num(w / 1000, Math.abs(w) < 1e5 ? 2 : 1), 'kW'];
}
const energy = (wh) => (wh == null ? '–' : num(wh / 1000, 2) + NB + 'kWh');
/** A stretch of time in milliseconds, in two digits. */
function span(ms) {
	const s = ms / 1000;
	return s < 100 ? Number(s.toPrecision(2)) + NB + 's' : Math.round(s / 60) + NB + 'min';
}

function age(at, now) {
	const ms = now - Date.parse(at);
	if (!at || Number.isNaN(ms)) return phrase('never');
	const s = Math.max(0, Math.round(ms / 1000));
	if (s < 100) return phrase('{0} ago', s + NB + 's');
	if (s < 6000) return phrase('{0} ago', Math.round(s / 60) + NB + 'min');
	if (s < 172800) return phrase('{0} ago', Math.round(s / 3600) + NB + 'h');
	return phrase('{0} days ago', Math.round(s / 86400));
}
const some = (names) => (names.length > 8 ? phrase('{0} and {1} more', names.slice(0, 8).join(', '), names.length - 8) : names.join(', '));
const stop = (t) => (t ? (/[.!?]$/.test(t) ? t : t + '.') : '');
const cap = (t) => (t ? t[0].toUpperCase() + t.slice(1) : '');
const sum = (list) => list.reduce((a, b) => a + b, 0);

// -- what the snapshot means

const list = (x) => (Array.isArray(x) ? x : []);
const live = (m) => m.ok && m.power_w != null;

/** A home's power; null while any of its meters does not answer, for half a sum would be a wrong number. */
function powerOf(home) {
	const meters = list(home.meters);
	return meters.length && meters.every(live) ? sum(meters.map((m) => m.power_w)) : null;
}
function supplyOf(home) {
	const switches = list(home.switches);
	if (!switches.length) return { state: 'closed', word: phrase('Connected'), why: phrase('no switch') };
	const off = switches.find((s) => s.position === 'open');
	const lost = switches.find((s) => s.position == null);
	const one = off || lost || switches[0], why = one.reason || '';
	if (one.wanted && one.position && one.wanted !== one.position) {
		return one.wanted === 'open'
			? { state: off ? 'open' : 'closed', word: phrase('Still connected'), why: phrase('is to be disconnected'), moving: true }
			: { state: 'open', word: phrase('Still disconnected'), why: phrase('is to be connected'), moving: true };
	}
	if (off) return { state: 'open', word: phrase(off.state === 'ready_for_reconnection' ? 'Ready for reconnection' : 'Disconnected'), why };
	if (lost) return { state: 'unknown', word: phrase('Position unknown'), why: lost.wanted ? phrase(lost.wanted === 'open' ? 'should be disconnected' : 'should be connected') : '' };
	return { state: 'closed', word: phrase('Connected'), why };
}
const ailing = (home) => list(home.meters).some((m) => !m.ok || m.held) || list(home.switches).some((s) => s.problem || s.suspicion);
const needsLook = (home) => ailing(home) || home.credit !== 'good';

const foundSize = (f) => phrase('{0} ({1} to {2}), {3} a day', num(f.power_w) + NB + 'W', num(f.low_w), num(f.high_w), energy(f.per_day_wh)) +
	(f.counts ? ', ' + phrase('it counts {0}', f.counts) : '') + ', ' + phrase('{0} sure, since {1}', f.confidence, f.since.slice(0, 16).replace('T', ' '));

function drawBalance(b) {
	show($('p-balance'), !!b);
	if (!b) return;
	const a = b.last || {}, wh = (v) => (v == null ? '–' : num(v) + NB + 'Wh');
	put('f-feeder', wh(a.feeder_wh));
	put('f-homes', wh(a.homes_wh));
	put('f-losses', wh(a.losses_wh));
	put('f-rest', wh(a.unexplained_wh));
	const absent = Object.entries(b.absent || {}).sort((x, y) => y[1] - x[1]).map(([m, n]) => phrase('{0} in {1}', m, n));
	put('f-note', b.verdict === 'judged'
		? phrase('The interval from {0} UTC. Judged by {1} intervals; losses {2} % of what flows.', a.from.slice(11, 16), num(b.intervals), num(b.loss_permille / 10, 1)) + (b.found.length ? '' : ' ' + phrase('Everything adds up.'))
		: phrase('Not enough to judge yet: {0} of {1} intervals in which every meter is known.', b.have, b.need) + (absent.length ? ' ' + phrase('Absent: {0}.', some(absent)) : ''));
	keyed($('found'), pools.found, 't-found', list(b.found), (f) => f.cause + (f.meter || ''), (r, f) => {
		attr(r.root, 'data-level', f.told ? 'alarm' : null);
		text(r.what, (f.meter ? f.meter + ': ' : '') + cap(f.text));
		text(r.size, foundSize(f));
		text(r.todo, cap(stop(f.advice)));
	});
}

function alarmsOf(s) {
	const out = [];
	const meters = [...s.homes.flatMap((h) => list(h.meters)), ...s.others];
	const add = (key, level, title, what, todo) => out.push({ key, level, title, what: stop(cap(what)), todo });
	if (s.ledger.problem) {
		add('ledger', 'alarm', phrase('The ledger cannot be written'), s.ledger.problem,
			phrase('Nothing new is billed while this lasts. Check that the disk/SD card is not full or read-only.'));
	}
	if (s.chain.problem) {
		add('chain', 'warn', phrase('The chain does not take settlements'), s.chain.problem,
			phrase('Metering, billing and switching go on; settlements wait in the outbox and follow when the chain is back. Check the chain node and the network to it.'));
	}
	const silent = new Map();
	for (const m of meters) if (!m.ok) silent.set(m.bus, [...(silent.get(m.bus) || []), m]);
	for (const [bus, down] of silent) {
		const whole = down.length > 1 && down.length === meters.filter((m) => m.bus === bus).length;
		add('bus:' + bus, 'alarm',
			whole ? phrase('No meter on bus {0} answers', bus) : down.length === 1 ? phrase('Meter {0} does not answer', down[0].id) : phrase('{0} meters on bus {1} do not answer', down.length, bus),
			(down.length > 1 ? some(down.map((m) => m.id)) + ': ' : '') + ([...new Set(down.map((m) => m.problem).filter(Boolean))].slice(0, 3).join('; ') || phrase('no answer')),
			whole ? phrase('Check the adapter or gateway of bus {0} and its cable: everything on it is silent.', bus)
				: phrase(`Check that ${down.length === 1 ? 'the meter has' : 'the meters have'} power and that the cable and the address on bus {0} are right. The last values stay shown.`, bus));
	}
	const elsewhere = new Set(list(s.places?.meters).filter((m) => m.held).map((m) => m.meter));
	for (const m of meters) {
		if (!m.held) continue;
		add('held:' + m.id, 'alarm', phrase('Billing of meter {0} is held', m.id), m.held, elsewhere.has(m.id)
			? phrase('Look where it is, and at the anchors. It is billed again by itself when its proofs hold; releasing it lets what it imported meanwhile go.')
			: phrase('Nothing is billed for it until somebody has looked. Compare with the meter’s own display, then release or replace it under Devices.'));
	}
	for (const h of s.homes) {
		for (const w of list(h.switches)) {
			if (w.suspicion) {
				add('suspect:' + w.id, 'alarm', phrase('The switch of {0} is not to be trusted', h.account), w.suspicion,
					phrase('Go and look: at the switch, its breaker, and for a wire around it.'));
			}
			if (!w.problem) continue;
			const should = w.wanted ? phrase('It should be {0} and is {1}.', phrase(w.wanted), phrase(w.position || 'in an unknown position')) + ' ' : '';
			add('switch:' + w.id, 'alarm', phrase('The switch of {0} does not follow', h.account), w.problem,
				should + phrase('The gateway keeps trying. Check the switch’s power and wiring; tell the customer before moving it by hand.'));
		}
	}
	for (const f of list(s.balance?.found)) {
		if (!f.told) continue;
		add('found:' + f.cause + (f.meter || ''), 'alarm', f.meter ? phrase('Meter {0} does not agree with the feeder', f.meter) : phrase('The feeder does not add up'),
			`${f.text}: ${foundSize(f)}`, cap(stop(f.advice)));
	}
	for (const m of list(s.behind?.meters)) {
		add('behind:' + m.meter, 'warn', phrase('The configuration is behind: meter {0} is {1}’s', m.meter, m.account), phrase('[[meter]] {0} names another account', m.meter),
			phrase('Write account = "{0}" there, and into its [[switch]] if that moved too. Until then the gateway follows what was done.', m.account));
	}
	if (s.behind?.tariff) {
		add('behind', 'warn', phrase('The configuration is behind: other prices were announced'), phrase('Version {0} of the tariff is not what [tariff] says', s.behind.tariff),
			phrase('Write into [tariff] what was announced, so that whoever changes it next begins from there. Until it is changed the announcement holds.'));
	}
	if (s.prices?.problem) {
		add('prices', 'warn', phrase('Tomorrow’s price ranges stay as today’s'), s.prices.problem,
			phrase('Billing goes on at the ranges that hold. It is tried again until it would be too late to announce them.'));
	}
	if (s.witness?.problem) {
		add('witness', 'alarm', phrase('The neighbours do not let this gateway settle'), s.witness.problem,
			phrase('Metering, billing and switching go on; what is to be settled waits in the outbox. Look at the reasons before asking the owner of the Witness contract to clear anything.'));
	}
	if (s.broker?.connected === false) {
		add('broker', 'warn', phrase('The message broker is not reachable'), phrase('Others get no messages'),
			phrase('Metering and billing are not affected. Check the broker, its address and password.'));
	}
	return out;
}

// -- the last samples, kept here only

const history = new Map();
function sample(s) {
	const known = new Set();
	for (const h of s.homes) {
		known.add(h.account);
		let past = history.get(h.account);
		if (!past) history.set(h.account, (past = { at: null, w: [] }));
		const w = powerOf(h);
		const at = w == null ? s.now : list(h.meters).map((m) => m.at).join();
		if (at === past.at) continue;
		past.at = at;
		past.w.push(w);
		if (past.w.length > SAMPLES) past.w.shift();
	}
	for (const key of history.keys()) if (!known.has(key)) history.delete(key);
}
function spark(r, w) {
	const values = w.filter((v) => v != null);
	if (!values.length) return ['trace', 'area', 'zero'].forEach((k) => attr(r[k], 'd', ''));
	let lo = Math.min(0, ...values), hi = Math.max(0, ...values);
	if (hi - lo < 100) lo < 0 && hi <= 0 ? (lo = -100) : (hi = lo + 100);
	const y = (v) => (34 - ((v - lo) / (hi - lo)) * 32).toFixed(1);
	const x = (i) => (120 - ((w.length - 1 - i) * 120) / (SAMPLES - 1)).toFixed(1);
	const base = y(0);
	let trace = '', area = '', from = null;
	w.forEach((v, i) => {
		if (v == null) return;
		const open = i === 0 || w[i - 1] == null;
		if (open) { trace += `M${x(i)} ${y(v)}`; area += `M${x(i)} ${base}`; from = i; }
		// Power is read, not interpolated: steps, as a recorder draws them.
		else { trace += `H${x(i)}V${y(v)}`; area += `H${x(i)}`; }
		area += `V${y(v)}`;
		if (i === w.length - 1 || w[i + 1] == null) {
			if (from === i) trace += 'h.1';
			area += `V${base}Z`;
		}
	});
	attr(r.trace, 'd', trace);
	attr(r.area, 'd', area);
	attr(r.zero, 'd', `M0 ${base}H120`);
}

// -- drawing

const pools = { versions: new Map(), homes: new Map(), alarms: new Map(), events: new Map(), devices: new Map(), found: new Map() };
const CREDIT = {
	good: 'credit good', low: 'credit low', emergency_offered: 'emergency credit offered', emergency: 'on emergency credit',
	friendly: 'used up, friendly hours', exhausted: 'used up',
};
const WORST = { good: 'good', exhausted: 'exhausted' };
const LEVEL = { warn: 'low', alarm: 'exhausted' };
let filter = 'all', needle = '';

function drawHome(r, h, now) {
	const supply = supplyOf(h), w = powerOf(h), meters = list(h.meters), sick = meters.find((m) => !m.ok) || meters.find((m) => m.held);
	text(r.number, String(h.number ?? '·'));
	text(r.account, h.account);
	attr(r.root, 'data-account', h.account);
	show(r.voucher, h.takes?.voucher);
	show(r.token, h.takes?.token);
	show(r.sun, h.prosumer);
	show(r.prot, h.protected);
	const [value, unit] = watts(w == null ? null : Math.abs(w));
	text(r.power, value);
	text(r.unit, unit);
	text(r.dir, phrase(w == null ? 'no live value' : w < 0 ? 'feeding in' : supply.state === 'open' && w < 5 ? 'no supply' : 'drawing'));
	attr(r.root, 'data-flow', w == null ? 'none' : w < 0 ? 'feed' : 'use');
	attr(r.root, 'data-supply', supply.state);
	attr(r.root, 'data-ill', sick ? 'meter' : ailing(h) ? 'switch' : null);
	attr(r.root, 'data-credit', WORST[h.credit] || 'low');
	spark(r, history.get(h.account)?.w || []);
	text(r.balance, h.balance);
	icon(r.cicon, CREDIT[h.credit] ? WORST[h.credit] || 'low' : 'unknown');
	text(r.cword, h.prepaid === false && h.credit === 'good' ? phrase('nothing paid in yet')
		: phrase(CREDIT[h.credit] || h.credit) + (h.friendly_until_local ? ' ' + phrase('until {0}', h.friendly_until_local) : ''));
	icon(r.sicon, supply.state);
	text(r.sword, supply.word);
	text(r.swhy, supply.why && '· ' + supply.why);
	const volts = meters.map((m) => m.voltage_v).filter((v) => v != null);
	text(r.volt, (volts.length ? volts.map((v) => num(v, 1)).join(' / ') + NB + 'V · ' : '') + num(h.used_kwh ?? 0, 2) + NB + 'kWh' +
		(h.prosumer ? ' · ' + phrase('fed in {0}', num(h.fed_in_kwh ?? 0, 2)) : ''));
	// The last month: what is older is asked for by date.
	const from = new Date(now - 31 * 864e5).toISOString().slice(0, 10);
	attr(r.bill, 'href', `/api/v1/accounts/${h.account}/receipt?as=html&from=${from}`);
	attr(r.bill, 'aria-label', phrase('Receipt of {0}, the last month', h.account));
	const oldest = meters.map((m) => m.at).sort()[0];
	text(r.age, !meters.length ? phrase('no meter') : sick && !sick.ok ? phrase('silent, {0}', age(sick.at, now)) : sick ? phrase('billing held') : age(oldest, now));
	const visible = (filter === 'all' || (filter === 'look' && needsLook(h)) || (filter === 'off' && supply.state === 'open') || (filter === 'feed' && h.prosumer)) &&
		(!needle || `${h.account} ${h.number}`.toLowerCase().includes(needle));
	show(r.root, visible);
	return visible;
}

/** The street as one line: a busbar with a bar per home, up for drawing and down for feeding in. */
function drawLine(homes) {
	const n = homes.length || 1, powers = homes.map(powerOf), known = powers.filter((p) => p != null);
	const up = Math.max(500, ...known), down = Math.max(0, ...known.map((p) => -p));
	const H = 56, bus = down ? 34 : 48, gap = n > 100 ? 0.15 : 0.3;
	const scale = Math.min((bus - 2) / up, down ? (H - bus - 2) / down : Infinity);
	let use = '', feed = '', off = '';
	homes.forEach((h, i) => {
		const a = ((i + gap / 2) * 1000) / n, b = ((i + 1 - gap / 2) * 1000) / n, p = powers[i];
		const box = (y0, y1) => `M${a.toFixed(1)} ${y0.toFixed(1)}H${b.toFixed(1)}V${y1.toFixed(1)}H${a.toFixed(1)}Z`;
		if (supplyOf(h).state === 'open') off += box(bus - 5, bus + 5);
		else if (p > 0) use += box(bus - 1, bus - 1 - Math.max(1, p * scale));
		else if (p < 0) feed += box(bus + 1, bus + 1 + Math.max(1, -p * scale));
	});
	const svg = $('line');
	attr(svg, 'viewBox', `0 0 1000 ${H}`);
	attr($('l-bus'), 'd', `M0 ${bus}H1000`);
	attr($('l-use'), 'd', use);
	attr($('l-feed'), 'd', feed);
	attr($('l-off'), 'd', off);
	put('l-scale', homes.length ? phrase('{0} homes · highest {1}', homes.length, watts(Math.max(0, ...known)).join(NB)) : '');
}

function cell(id, value, note, level) {
	text($(id), value);
	text($(id + '-m'), note);
	attr($(id).parentNode, 'data-level', level || null);
}

let drawnSeq = -1;
function draw(s) {
	const now = Date.parse(s.now), homes = s.homes, meters = [...homes.flatMap((h) => list(h.meters)), ...s.others];

	// Header.
	if (memo(document, 'title', s.site)) document.title = s.site + ' – microgrid gateway';
	put('site', s.site);
	put('version', s.version);
	put('clock', s.local);
	put('secs', s.speed > 5 ? '' : ':' + s.now.slice(17, 19));
	put('date', s.now.slice(0, 10));
	show($('b-sim'), s.simulated);
	show($('b-speed'), s.speed !== 1 && s.speed != null);
	put('b-speed', phrase('Time runs ×{0}', s.speed));
	const t = s.tariff || {};
	put('t-range', phrase(t.range ? cap(t.range.replace('_', '-')) + ' price now' : 'Price now'));
	put('t-price', t.price || '–');
	const next = t.announced;
	show($('t-next'), !!next);
	if (next) put('t-next', phrase('From {0}: {1}, peak {2}', next.since_local, next.off_peak, next.peak));
	put('t-more', [list(t.peak_hours).length && phrase(t.range === 'peak' || !t.peak ? 'peak {0}' : 'peak {0} at {1}', t.peak_hours.join(', ').replaceAll('-', '–'), t.peak), t.range === 'peak' && t.off_peak && phrase('else {0}', t.off_peak), t.feed_in && phrase('feed-in {0}', t.feed_in)].filter(Boolean).join(' · '));

	// Strip.
	const feeder = s.others.filter(live), known = homes.map(powerOf).filter((p) => p != null);
	const total = feeder.length ? sum(feeder.map((m) => m.power_w)) : known.length ? sum(known) : null;
	const missing = homes.length - known.length;
	cell('s-power', watts(total == null ? null : Math.abs(total)).join(NB),
		total == null ? phrase('no live value') : phrase(feeder.length ? '{0}, at the feeder' : missing ? '{0}, {1} homes missing' : '{0}, sum of homes', phrase(total < 0 ? 'to the grid' : 'from the grid'), missing));
	const states = homes.map((h) => supplyOf(h).state), off = states.filter((x) => x === 'open').length, dim = states.filter((x) => x === 'unknown').length;
	cell('s-homes', `${homes.length - off - dim} / ${homes.length}`, [off && phrase('{0} disconnected', off), dim && phrase('{0} unknown', dim)].filter(Boolean).join(', ') || phrase('all connected'), off + dim ? 'warn' : null);
	const l = s.ledger, c = s.chain;
	cell('s-met', energy(l.metered_wh), phrase('{0} settled, {1} pending', energy(l.settled_wh), energy(l.pending_wh)));
	cell('s-block', num(c.block ?? 0), phrase(c.problem ? 'problem, see above' : c.waiting ? 'healthy, one on its way' : 'healthy'), c.problem ? 'alarm' : null);
	const b = s.broker?.connected;
	cell('s-broker', phrase(b ? 'Connected' : b === false ? 'Away' : 'None'), phrase(b ? 'messages flow' : b === false ? 'trying again' : 'not configured'), b === false ? 'alarm' : null);
	const behind = Math.max(0, (l.last_seq ?? 0) - (l.priced_seq ?? 0));
	cell('s-ledger', phrase(l.problem ? 'Not writing' : 'Writing'), l.problem ? phrase('problem, see above') : phrase(behind ? 'entry {0}, {1} to price' : 'entry {0}, all priced', num(l.last_seq ?? 0), num(behind)), l.problem ? 'alarm' : null);
	drawLine(homes);

	// Alarms.
	const alarms = alarmsOf(s);
	keyed($('alarms'), pools.alarms, 't-alarm', alarms, (a) => a.key, (r, a) => {
		attr(r.root, 'data-level', a.level);
		icon(r.icon, LEVEL[a.level]);
		text(r.title, a.title);
		text(r.what, a.what);
		text(r.todo, a.todo);
	});
	attr($('alarm-area'), 'data-on', alarms.length ? '1' : null);

	// Homes.
	let visible = 0;
	keyed($('grid'), pools.homes, 't-home', homes, (h) => h.account, (r, h) => { if (drawHome(r, h, now)) visible++; });
	show($('none'), homes.length && !visible);
	const counts = { all: homes.length, look: homes.filter(needsLook).length, off, feed: homes.filter((h) => h.prosumer).length };
	for (const button of buttons) text(button.lastElementChild, String(counts[button.dataset.show]));

	// Devices.
	keyed($('devices'), pools.devices, 't-dev', meters, (m) => m.id, (r, m) => {
		text(r.id, m.id);
		text(r.model, m.model);
		text(r.bus, m.bus);
		text(r.health, phrase(!m.ok ? 'Silent' : m.held ? 'Billing held' : 'Answers'));
		attr(r.health, 'data-level', m.ok && !m.held ? 'good' : 'alarm');
		text(r.age, age(m.at, now));
		const late = m.period_ms > 1.25 * m.wanted_period_ms;
		text(r.every, m.period_ms == null ? '–' : late ? phrase('{0}, {1} wanted', span(m.period_ms), span(m.wanted_period_ms)) : span(m.period_ms));
		attr(r.every, 'data-level', late ? 'warn' : null);
		text(r.imp, energy(m.import_kwh && m.import_kwh * 1000));
		text(r.exp, energy(m.export_kwh && m.export_kwh * 1000));
	});

	drawBalance(s.balance);
	options($('m-op').querySelector('[name=meter]'), meters.map((m) => m.id));
	options($('m-op').querySelector('[name=account]'), homes.map((h) => h.account));
	noteMeter();
	const version = (s.tariff?.announced || s.tariff)?.version;
	if (memo($('versions'), 'version', version + '/' + s.tariff?.version + '/' + s.behind?.tariff)) loadTariff();

	// Chain and outbox.
	const share = l.metered_wh > 0 ? Math.min(100, (100 * l.settled_wh) / l.metered_wh) : 0;
	attr($('c-bar'), 'width', share.toFixed(1));
	put('c-sum', phrase('{0} of {1} settled, {2} pending', energy(l.settled_wh), energy(l.metered_wh), energy(l.pending_wh)));
	put('c-health', c.problem || phrase('Healthy'));
	attr($('c-health'), 'data-level', c.problem ? 'alarm' : 'good');
	put('c-wait', c.waiting == null ? phrase('Nothing') : String(c.waiting));
	put('c-kind', phrase('{0}, id {1}, block {2}', c.kind, c.chain_id, num(c.block ?? 0)));
	put('c-batches', num(l.settled_batches ?? 0));
	put('c-seq', phrase('{0}, priced to {1}', num(l.last_seq ?? 0), num(l.priced_seq ?? 0)));
	put('c-read', num(l.readings ?? 0));
	put('c-prov', c.provider || phrase('not deployed yet'));
	put('c-sett', c.settler || '–');

	// Events, newest first.
	const events = [...s.events].sort((x, y) => y.seq - x.seq);
	const newest = events.length ? events[0].seq : 0;
	if (newest !== drawnSeq || events.length !== pools.events.size) {
		drawnSeq = newest;
		keyed($('events'), pools.events, 't-event', events, (e) => e.seq, (r, e) => {
			attr(r.root, 'data-level', e.level);
			text(r.time, e.local);
			attr(r.time, 'datetime', e.at);
			icon(r.icon, LEVEL[e.level] || 'info');
			attr(r.icon.parentNode, 'aria-label', e.level);
			text(r.text, e.text);
		});
		show($('no-events'), !events.length);
	}
	document.dispatchEvent(new CustomEvent('street', { detail: s }));
	// What was there at the start is not news; only what comes later is announced.
	setTimeout(() => attr($('events'), 'aria-busy', 'false'), 500);
}

// -- the link to the gateway

let state = null, queued = false, source = null, retry = 0, timer = 0, watchdog = 0, linked = null;

function take(snapshot) {
	for (const key of ['homes', 'others', 'events']) snapshot[key] = list(snapshot[key]);
	snapshot.ledger ??= {};
	snapshot.chain ??= {};
	state = snapshot;
	document.dispatchEvent(new CustomEvent('snapshot', { detail: state }));
	sample(state);
	link(true);
	later();
}
function later() {
	if (queued) return;
	queued = true;
	requestAnimationFrame(() => {
		queued = false;
		if (state) draw(state);
	});
}
function link(up) {
	clearTimeout(watchdog);
	if (up) watchdog = setTimeout(check, QUIET_MS);
	if (up === linked) return;
	linked = up;
	put('b-link', phrase(up ? 'Live' : 'Not live'));
	attr($('b-link'), 'data-up', up ? '1' : '0');
	attr(document.body, 'class', up ? null : 'stale');
	show($('lost'), !up);
	put('lost', up ? '' : state
		? phrase('Connection lost – showing the state of {0}. Trying to reconnect.', `${state.local}:${state.now.slice(17, 19)}`)
		: phrase('The gateway does not answer. Trying to reconnect.'));
}
/** A stream that says nothing may be quiet or dead: ask once, and open a new one. */
async function check() {
	if (!document.body.dataset.in) return;
	try {
		const reply = await fetch('api/v1/state', { cache: 'no-store', signal: AbortSignal.timeout(8000) });
		if (reply.status === 401) return out();
		if (!reply.ok) throw new Error(reply.status);
		take(await reply.json());
		if (!source || source.readyState !== EventSource.OPEN || Date.now() - heard > QUIET_MS) open();
	} catch {
		lost();
	}
}
let heard = 0;
/** The session is over: the door, and no further tries behind it. */
function out() {
	source?.close();
	source = null;
	clearTimeout(timer);
	clearTimeout(watchdog);
	linked = null;
	leave();
}
function open() {
	clearTimeout(timer);
	source?.close();
	source = new EventSource('api/v1/events');
	const mine = source;
	const got = (event) => {
		if (mine !== source) return;
		let snapshot;
		try { snapshot = JSON.parse(event.data); } catch { return; }
		retry = 0;
		heard = Date.now();
		take(snapshot);
	};
	source.addEventListener('state', got);
	source.addEventListener('message', got);
	source.onerror = () => { if (mine === source) lost(); };
}
function lost() {
	source?.close();
	source = null;
	link(false);
	clearTimeout(timer);
	timer = setTimeout(check, Math.min(15000, 1000 * 2 ** retry++));
}
addEventListener('online', check);
document.addEventListener('visibilitychange', () => {
	if (!document.hidden && (!linked || Date.now() - heard > QUIET_MS)) check();
});
addEventListener('pageshow', (event) => { if (event.persisted) check(); });

// -- what the operator can do

for (const button of buttons) {
	button.addEventListener('click', () => {
		filter = button.dataset.show;
		for (const other of buttons) other.setAttribute('aria-pressed', String(other === button));
		later();
	});
}
$('find').addEventListener('input', (event) => {
	needle = event.target.value.trim().toLowerCase();
	later();
});
/** What an act asks for: its field and what that is called, what its button says, and what else goes with it. */
const ACTS = {
	cash: { field: 'amount', name: 'Amount', says: 'Pay in', number: true },
	refund: { field: 'amount', name: 'Amount', says: 'Pay back', number: true },
	adjust: { field: 'amount', name: 'Amount, or -Amount', says: 'Adjust', number: true, why: true },
	lend: { field: 'amount', name: 'Amount', says: 'Lend', number: true, why: true },
	voucher: { field: 'code', name: 'Code', says: 'Pay in' },
	token: { field: 'digits', name: 'Digits', says: 'Pay in' },
};
const fresh = () => 'page-' + Date.now().toString(36) + '-' + Math.random().toString(36).slice(2, 7);
function relabel(form) {
	const act = ACTS[form.elements.act.value];
	text(form.elements.value.previousElementSibling, phrase(act.name));
	text(form.querySelector('button'), phrase(act.says));
	for (const [field, wanted] of [['reference', act.number], ['why', act.why]]) {
		show(form.elements[field].parentNode, wanted);
		form.elements[field].disabled = !wanted;
	}
	form.elements.value.inputMode = act.field === 'amount' ? 'decimal' : act.field === 'digits' ? 'numeric' : 'text';
}
$('grid').addEventListener('toggle', ({ target }) => {
	const form = target.querySelector('form');
	if (!target.open || !form) return;
	form.elements.reference.value ||= fresh();
	relabel(form);
	form.elements.value.focus();
}, true);
$('grid').addEventListener('change', ({ target }) => { if (target.name === 'act') relabel(target.form); });
$('grid').addEventListener('submit', async (event) => {
	event.preventDefault();
	const form = event.target, said = form.querySelector('[role=status]'), button = form.querySelector('button');
	const act = form.elements.act.value, body = { [ACTS[act].field]: form.elements.value.value.trim() };
	if (ACTS[act].number) body.reference = form.elements.reference.value.trim();
	if (ACTS[act].why) body.why = form.elements.why.value.trim();
	button.disabled = true;
	try {
		const account = encodeURIComponent(form.closest('[data-account]').dataset.account);
		const done = await post(`api/v1/accounts/${account}/${act}`, body);
		{
			const told = phrase('{0}. Balance {1}.', done.said, done.balance);
			text(said, done.repeated ? phrase('Done before: {0}', told) : told);
		}
		form.elements.value.value = '';
		form.elements.reference.value = fresh();
	} catch (error) {
		// The number stays: whoever tries again after a lost answer pays in once.
		text(said, cap(stop(error.message)));
	} finally {
		button.disabled = false;
	}
});
// -- prices and meters

/** Keeps what is chosen. */
function options(select, names) {
	if (!memo(select, 'options', names.join())) return;
	const chosen = select.value;
	select.replaceChildren(...names.map((name) => new Option(name, name)));
	if (names.includes(chosen)) select.value = chosen;
}
/** Not capitalised: it often begins with the name of a field. */
const failed = (error) => stop(error.message);

/** The keys of [tariff] in the order in which people think of them, with what each is counted in. */
const PRICES = {
	off_peak: ['Off-peak price', 'a kWh'], peak: ['Peak price', 'a kWh'], feed_in: ['Feed-in price', 'a kWh'],
	network_fee: ['Network fee', 'a kWh'], daily_charge: ['Daily charge', 'a day'], demand_charge: ['Demand charge', 'a kW and month'],
	tax: ['Tax', 'such as 19%'], lifeline_wh: ['Free every day', 'in Wh'], block: ['Blocks', 'kWh: surcharge, kWh: surcharge'], block_period: ['Blocks begin anew every', 'day or month'],
};
const WHOLE = { peak_hours: ['Peak hours', 'such as 17:00-22:00, 07:00-09:00'], interval: ['Interval', 'such as 15m'], pool_share: ['Pool share', 'such as 60%'] };
const toText = (key, value) => (value == null ? '' : key === 'block' ? value.map((b) => `${b.above_kwh}: ${b.surcharge}`).join(', ') : Array.isArray(value) ? value.join(', ') : String(value));
/** As the interface wants it; what is no number is sent as it was typed, to be named there. */
function fromText(key, typed) {
	const words = typed.split(',').map((w) => w.trim()).filter(Boolean);
	if (key === 'peak_hours') return words;
	if (!words.length) return null;
	const whole = (w) => (/^\d+$/.test(w) ? Number(w) : w);
	if (key === 'block') return words.map((w) => w.split(':').map((x) => x.trim())).map(([above, surcharge]) => ({ above_kwh: whole(above), surcharge: surcharge ?? '' }));
	return key === 'lifeline_wh' ? whole(typed.trim()) : typed.trim();
}
let offered = null;
function priceField(name, [label, unit], value) {
	const node = document.createElement('label'), input = document.createElement('input'), small = document.createElement('small');
	input.name = name;
	input.value = value;
	input.autocomplete = 'off';
	input.spellcheck = false;
	small.textContent = unit;
	node.append(phrase(label), input, small);
	return node;
}
function offer(t) {
	offered = t;
	const money = (unit) => (/^a /.test(unit) ? phrase('{0} ' + unit, t.currency) : phrase(unit));
	const fields = (prefix, keys, terms) => Object.entries(keys).map(([key, [label, unit]]) => priceField(prefix + key, [label, money(unit)], toText(key, terms[key])));
	const classes = list(t.terms.class).map((own) => {
		const set = document.createElement('fieldset'), legend = document.createElement('legend'), grid = document.createElement('div');
		legend.textContent = phrase('Class {0}: what it pays otherwise; left empty, as everybody', own.id);
		grid.className = 'fields';
		grid.append(...fields(`class.${own.id}.`, PRICES, own));
		set.append(legend, grid);
		return set;
	});
	$('t-fields').replaceChildren(...fields('', { ...PRICES, ...WHOLE }, t.terms), ...classes);
}
function announcement(form) {
	const value = (name) => fromText(name.split('.').pop(), form.elements[name].value);
	const body = { version: offered.newest };
	if (form.elements.from.value) body.from = form.elements.from.value;
	for (const key of Object.keys({ ...PRICES, ...WHOLE })) body[key] = value(key);
	const classes = list(offered.terms.class).map((own) => Object.fromEntries([['id', own.id], ...Object.keys(PRICES).map((key) => [key, value(`class.${own.id}.${key}`)])]));
	if (classes.length) body.class = classes;
	return body;
}
const change = (c) => `${c.key}: ${c.was ?? phrase('nothing')} \u2192 ${c.becomes ?? phrase('nothing')}`;
async function loadTariff() {
	try {
		const reply = await fetch('api/v1/tariff', { cache: 'no-store' });
		if (!reply.ok) throw new Error(reply.status);
		const t = await reply.json();
		keyed($('versions'), pools.versions, 't-version', list(t.versions).slice(-4).reverse(), (v) => v.version, (r, v) => {
			text(r.what, phrase(v.state === 'holds' ? 'Version {0} holds from {1}' : v.state === 'announced' ? 'Version {0} is announced from {1}' : 'Version {0} held from {1}', v.version, v.since === 'the beginning' ? phrase(v.since) : v.since_local));
			text(r.changes, v.changes.map(change).join(' · '));
		});
		if (!offered || (offered.newest !== t.newest && $('t-go').hidden)) offer(t);
	} catch {
		said.delete($('versions'));
	}
}
const tariffForm = $('t-op').querySelector('form');
function preview(done) {
	show($('t-go'), !!done && !done.repeated && done.changes.length > 0);
	$('t-changes').replaceChildren(...list(done?.changes).map((c) => Object.assign(document.createElement('li'), { textContent: change(c) })));
	show($('t-conf'), false);
}
tariffForm.addEventListener('input', () => { preview(null); put('t-said', ''); });
async function announce(what) {
	const go = tariffForm.querySelectorAll('button');
	if (!offered || !tariffForm.reportValidity()) return;
	go.forEach((b) => { b.disabled = true; });
	try {
		const done = await post(`api/v1/tariff/${what}`, announcement(tariffForm));
		preview(what === 'preview' ? done : null);
		if (what === 'preview') return put('t-said', done.repeated ? phrase('Version {0} says so already.', done.version) : phrase('This would hold from {0}:', done.since_local));
		put('t-said', phrase(done.repeated ? 'Done before: {0}' : '{0}', phrase('Version {0} holds from {1}. Write this into the configuration, so that it says the same:', done.version, done.since_local)));
		put('t-conf', done.configuration);
		show($('t-conf'), true);
		offered = null;
		loadTariff();
	} catch (error) {
		if (what === 'preview') preview(null);
		put('t-said', failed(error));
	} finally {
		go.forEach((b) => { b.disabled = false; });
	}
}
tariffForm.addEventListener('submit', (event) => { event.preventDefault(); announce('preview'); });
$('t-go').addEventListener('click', () => announce('announce'));

const meterForm = $('m-op').querySelector('form');
const METER_SAYS = { release: 'Release', replace: 'Replace', move: 'Move' };
function noteMeter() {
	if (!state) return;
	const id = meterForm.elements.meter.value, home = state.homes.find((h) => list(h.meters).some((m) => m.id === id));
	const meter = [...state.homes.flatMap((h) => list(h.meters)), ...state.others].find((m) => m.id === id);
	put('m-note', meter ? phrase('{0}: {1}, import {2}', id, home ? phrase('{0}’s', home.account) : phrase('nobody’s'), energy(meter.import_kwh && meter.import_kwh * 1000)) +
		(meter.export_kwh == null ? '' : ', ' + phrase('export {0}', energy(meter.export_kwh * 1000))) + (meter.held ? ', ' + phrase('billing held: {0}', meter.held) : '') : '');
}
function relabelMeter() {
	const act = meterForm.elements.act.value;
	for (const label of meterForm.querySelectorAll('[data-act]')) {
		show(label, label.dataset.act === act);
		label.querySelector('input,select').disabled = label.dataset.act !== act;
	}
	text(meterForm.querySelector('button'), phrase(METER_SAYS[act]));
	noteMeter();
}
$('m-op').addEventListener('toggle', () => { if ($('m-op').open) relabelMeter(); });
meterForm.addEventListener('change', relabelMeter);
meterForm.addEventListener('submit', async (event) => {
	event.preventDefault();
	const said = meterForm.querySelector('[role=status]'), button = meterForm.querySelector('button');
	const { meter, act } = meterForm.elements, body = {};
	for (const label of meterForm.querySelectorAll(`[data-act=${act.value}]`)) {
		const field = label.querySelector('input,select');
		if (field.value.trim()) body[field.name] = field.value.trim();
	}
	button.disabled = true;
	try {
		const done = await post(`api/v1/meters/${encodeURIComponent(meter.value)}/${act.value}`, body);
		text(said, phrase(done.repeated ? 'Done before: {0}' : '{0}', stop(done.said)) + (done.todo ? ' ' + phrase('Now {0}', stop(done.todo)) : ''));
	} catch (error) {
		text(said, failed(error));
	} finally {
		button.disabled = false;
	}
});
$('line').addEventListener('click', (event) => {
	if (!state?.homes.length) return;
	const box = $('line').getBoundingClientRect();
	const home = state.homes[Math.min(state.homes.length - 1, Math.floor(((event.clientX - box.left) / box.width) * state.homes.length))];
	const card = pools.homes.get(home.account)?.root;
	card?.scrollIntoView({ block: 'center' });
	card?.focus({ preventScroll: true });
});

translate(document);
onEnter(check);
