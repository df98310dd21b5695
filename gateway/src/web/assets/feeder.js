// The feeder as a one-line diagram: station at the left, buses by how far they are from it, branches below each other.

import { phrase } from './words.js';

(() => {
	const SVG = 'http://www.w3.org/2000/svg';
	const STEP = 210, ROW = 96, LEFT = 80, TOP = 54;
	const make = (name, attrs, text) => {
		const node = document.createElementNS(SVG, name);
		for (const [key, value] of Object.entries(attrs)) node.setAttribute(key, value);
		if (text != null) node.textContent = text;
		return node;
	};
	const kw = (w) => (w == null ? '–' : Math.abs(w) < 1000 ? `${Math.round(w)}\u00a0W` : `${(w / 1000).toFixed(2)}\u00a0kW`);
	const put = (id, value) => {
		const node = document.getElementById(id);
		if (node && node.textContent !== value) node.textContent = value;
	};

	// Columns by distance from the source; a bus stands in its parent's row if it is the first child, else in a new one.
	function place(f) {
		const next = new Map(), at = new Map();
		const link = (a, b) => next.set(a, [...(next.get(a) ?? []), b]);
		for (const l of f.lines ?? []) { link(l.from, l.to); link(l.to, l.from); }
		let rows = 0;
		const walk = (bus, column, row) => {
			at.set(bus, { x: LEFT + column * STEP, y: TOP + row * ROW });
			let first = true;
			for (const child of next.get(bus) ?? []) {
				if (at.has(child)) continue;
				walk(child, column + 1, first ? row : ++rows);
				first = false;
			}
		};
		const source = f.source ?? f.buses[0].name;
		walk(source, 0, 0);
		for (const b of f.buses) if (!at.has(b.name)) walk(b.name, 0, ++rows);
		return at;
	}

	const level = (permille) => (permille == null ? '' : permille >= 980 ? 'alarm' : permille >= 800 ? 'warn' : '');

	function drawing(f) {
		const at = place(f), parts = [];
		// Where a wire goes down from a bus, what is said of the bus stands beside it.
		const down = new Set((f.lines ?? []).flatMap((l) => {
			const a = at.get(l.from), b = at.get(l.to);
			return a && b && a.y !== b.y ? [a.x <= b.x ? l.from : l.to] : [];
		}));
		const wide = Math.max(...[...at.values()].map((p) => p.x)) + 150, high = Math.max(...[...at.values()].map((p) => p.y)) + 78;
		for (const l of f.lines ?? []) {
			const a = at.get(l.from), b = at.get(l.to);
			if (!a || !b) continue;
			const [from, to] = a.x <= b.x ? [a, b] : [b, a], forward = a.x <= b.x ? l.power >= 0 : l.power < 0;
			parts.push(make('path', { class: `wire ${level(l.loading_permille)}`, d: `M${from.x} ${from.y}V${to.y}H${to.x}` }));
			const middle = (from.x + to.x) / 2 + 8, load = l.loading_permille == null ? '' : ` · ${Math.round(l.loading_permille / 10)}\u00a0%`;
			const arrow = forward ? `M${middle - 5} ${to.y - 5}l10 5l-10 5z` : `M${middle + 5} ${to.y - 5}l-10 5l10 5z`;
			parts.push(make('path', { class: 'arrow', d: arrow }));
			parts.push(make('text', { class: 'flow', x: middle, y: to.y - 12 }, kw(Math.abs(l.power)) + load));
		}
		for (const b of f.buses) {
			const p = at.get(b.name), low = b.volts_pu < b.low_pu - 1e-4, over = b.volts_pu > b.high_pu + 1e-4;
			parts.push(make('line', { class: `bar ${low || over ? 'alarm' : ''}`, x1: p.x, x2: p.x, y1: p.y - 16, y2: p.y + 16 }));
			parts.push(make('text', { class: 'bus', x: p.x, y: p.y - 24 }, b.name));
			const [x, beside] = down.has(b.name) ? [p.x + 10, ' beside'] : [p.x, ''];
			parts.push(make('text', { class: `volt${beside}`, x, y: p.y + 32 }, `${b.volts_pu.toFixed(4)}\u00a0pu`));
			if (b.price) parts.push(make('text', { class: `price${beside}`, x, y: p.y + 47 }, phrase('{0} a kWh', b.price)));
		}
		const svg = document.getElementById('d-line');
		svg.setAttribute('viewBox', `0 0 ${wide} ${high}`);
		svg.style.minWidth = `${Math.min(wide, 900)}px`;
		// A short street is not blown up to the width of the page.
		svg.style.maxWidth = `${Math.round(wide * 1.5)}px`;
		svg.replaceChildren(...parts);
	}

	function row(i, home) {
		const tr = document.createElement('tr');
		const used = home == null ? '–' : home < 0 ? phrase('fed in {0}', kw(-home)) : kw(home);
		const cells = [i.id, i.bus, kw(i.rated_w), kw(i.made_w), i.limit ? `${i.limit} (${kw(i.most_w)})` : phrase('none'), used];
		cells.forEach((text, at) => {
			const cell = document.createElement(at ? 'td' : 'th');
			if (!at) cell.scope = 'row';
			if (at > 1) cell.className = 'n';
			cell.textContent = text;
			tr.append(cell);
		});
		const state = document.createElement('td');
		const word = i.problem ?? (i.ignores ? phrase('ignores its limit: not paid beyond it') : i.limit ? phrase('limited until {0}', i.until) : phrase('free'));
		state.textContent = word;
		state.className = i.problem || i.ignores ? 'bad' : '';
		tr.append(state);
		return tr;
	}

	const BASIS = { none: 'No plan yet', free: 'The network carries every roof', safe: 'Safe limits, no optimum', optimal: 'Optimal dispatch' };
	document.addEventListener('street', ({ detail }) => {
		const f = detail.feeder, panel = document.getElementById('p-feeder');
		if (!panel) return;
		panel.hidden = !f;
		if (!f) return;
		const gap = f.gap == null ? '' : `, ${phrase('at most {0} above the best', f.gap)}`;
		put('d-basis', phrase(BASIS[f.basis]) + (f.until ? `, ${f.from}–${f.until}` : ''));
		put('d-bound', f.binding?.length ? f.binding.join(', ') : phrase('nothing'));
		put('d-cost', f.cost ? phrase('{0} an hour', f.cost) + gap : '–');
		put('d-limit', f.export_limit_w == null ? phrase('as the network says') : kw(f.export_limit_w));
		put('d-why', f.problem ? phrase('Nothing newer is planned: {0}.', f.problem) : f.why ? `${f.why[0].toUpperCase()}${f.why.slice(1)}.` : '');
		if (f.buses.length) drawing(f);
		document.getElementById('d-line').toggleAttribute('hidden', !f.buses.length);
		const homes = new Map(f.homes.map((h) => [h.meter, h.power_w]));
		document.getElementById('d-roofs').replaceChildren(...f.inverters.map((i) => row(i, homes.get(i.meter))));
	});
})();
