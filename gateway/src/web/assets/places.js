// Where meters are: a plan of anchors, claims and what was found, to scale, and a table that says the same in words.

import { phrase } from './words.js';

(() => {
	const SVG = 'http://www.w3.org/2000/svg';
	const make = (name, attrs, text) => {
		const node = document.createElementNS(SVG, name);
		for (const [key, value] of Object.entries(attrs)) node.setAttribute(key, value);
		if (text != null) node.textContent = text;
		return node;
	};
	const put = (id, value) => {
		const node = document.getElementById(id);
		if (node && node.textContent !== value) node.textContent = value;
	};
	const WORDS = { proved: 'at its place', failed: 'not at its place', held: 'held', unproved: 'not proved', waiting: 'no proof yet' };
	// home-10 after home-9.
	const { compare } = new Intl.Collator('en', { numeric: true });
	const metres = (m) => (m == null ? '–' : `${m.toFixed(1)}\u00a0m`);

	// North is up; a frame of a tenth around everything.
	function drawing(p) {
		const all = [...p.anchors.map((a) => a.at), ...p.meters.map((m) => m.claim), ...p.meters.filter((m) => m.found).map((m) => m.found)];
		const xs = all.map((q) => q.x), ys = all.map((q) => q.y);
		const low = { x: Math.min(...xs), y: Math.min(...ys) };
		const wide = Math.max(Math.max(...xs) - low.x, 1), high = Math.max(Math.max(...ys) - low.y, 1);
		const scale = Math.min(1000 / wide, 420 / high), pad = 60;
		const at = (q) => ({ x: pad + (q.x - low.x) * scale, y: pad + (high - (q.y - low.y)) * scale });
		const parts = [];
		for (const a of p.anchors) {
			const q = at(a.at);
			parts.push(make('path', { class: `anchor ${a.problem ? 'bad' : ''}`, d: `M${q.x} ${q.y - 8}l7 12h-14z` }));
			parts.at(-1).append(make('title', {}, a.problem ? `${a.id}: ${a.problem}` : phrase('{0}: {1} beacons', a.id, a.heard)));
		}
		for (const m of p.meters) {
			const claim = at(m.claim);
			if (m.found) {
				const found = at(m.found), far = (m.deviation ?? 0) * scale;
				if (far > 0) parts.push(make('circle', { class: 'cloud', cx: found.x, cy: found.y, r: Math.min(far, 200) }));
				parts.push(make('line', { class: `pull ${m.state}`, x1: claim.x, y1: claim.y, x2: found.x, y2: found.y }));
				parts.push(make('circle', { class: `found ${m.state}`, cx: found.x, cy: found.y, r: 3 }));
			}
			parts.push(make('rect', { class: `claim ${m.state}`, x: claim.x - 6, y: claim.y - 6, width: 12, height: 12 }));
			parts.push(make('text', { x: claim.x, y: claim.y - 12 }, m.meter));
		}
		const right = pad + wide * scale, bottom = pad + high * scale;
		const ten = wide > 400 ? 100 : 10;
		parts.push(make('path', { class: 'scale', d: `M${right - ten * scale} ${bottom + 40}h${ten * scale}` }));
		parts.push(make('text', { x: right - (ten * scale) / 2, y: bottom + 34 }, `${ten}\u00a0m`));
		const svg = document.getElementById('w-plan');
		svg.setAttribute('viewBox', `0 0 ${right + pad} ${bottom + pad}`);
		svg.replaceChildren(...parts);
	}

	function row(m) {
		const tr = document.createElement('tr');
		const of = m.of ? phrase('{0} of {1}', m.failed, m.of) : '–';
		const heard = m.anchors ? `${m.anchors.length}${m.dropped?.length ? `, ${phrase('without {0}', m.dropped.join(', '))}` : ''}` : '–';
		const cells = [m.meter, heard, metres(m.metres_off), m.deviation == null ? '–' : `±\u00a0${metres(m.deviation)}`, of];
		cells.forEach((text, at) => {
			const cell = document.createElement(at ? 'td' : 'th');
			if (!at) cell.scope = 'row';
			if (at > 1) cell.className = 'n';
			cell.textContent = text;
			tr.append(cell);
		});
		const state = document.createElement('td');
		const more = m.problem ?? m.unproved;
		state.textContent = phrase(WORDS[m.state]) + (more ? `: ${more}` : '') + (m.stale && m.state !== 'proved' ? `; ${phrase('{0} beacons with a code that is over', m.stale)}` : '');
		state.className = m.state === 'held' || m.state === 'failed' ? 'bad' : '';
		if (m.state === 'proved') state.dataset.level = 'good';
		tr.append(state);
		return tr;
	}

	document.addEventListener('street', ({ detail }) => {
		const p = detail.places, panel = document.getElementById('p-places');
		if (!panel) return;
		panel.hidden = !p;
		if (!p) return;
		const count = (state) => p.meters.filter((m) => m.state === state).length;
		put('w-proved', phrase('{0} of {1}', count('proved'), p.meters.length));
		put('w-held', p.hold || count('held') ? String(count('held')) : phrase('nobody: hold is off'));
		put('w-rule', phrase('{0} failed of {1}', p.rule.failures, p.rule.window));
		put('w-epoch', `${phrase('until {0}', p.until)}, ${p.block == null ? phrase('by our own random number') : phrase('by block {0}', p.block)}`);
		const notes = [];
		if (p.problem) notes.push(`${p.problem[0].toUpperCase()}${p.problem.slice(1)}.`);
		const deaf = p.anchors.filter((a) => a.problem).map((a) => a.id);
		if (deaf.length && deaf.length < p.anchors.length) notes.push(phrase('Silent anchors: {0}.', deaf.join(', ')));
		if (p.passed_over) notes.push(phrase('{0} beacons were too many to look at.', p.passed_over));
		put('l-note', notes.join(' '));
		document.getElementById('l-note').hidden = !notes.length;
		drawing(p);
		document.getElementById('w-meters').replaceChildren(...p.meters.toSorted((a, b) => compare(a.meter, b.meter)).map(row));
	});
})();
