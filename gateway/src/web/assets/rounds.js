// Plans before the contract that judges them: one row for each of the newest.

import { phrase } from './words.js';

(() => {
	const STEP = {
		planned: 'waits for its round', committed: 'committed, not shown yet', revealed: 'shown, its interval runs',
		won: 'won', lost: 'another plan is cheaper', "nobody's": 'nobody showed a plan', 'given up': 'not judged',
	};
	function row(r) {
		const tr = document.createElement('tr');
		const stake = r.step === 'won' || r.step === 'lost' ? (r.stake_back ? `, ${phrase('stake is back')}` : '') : '';
		const step = phrase(STEP[r.step]) + stake + (r.why ? `: ${r.why}` : '');
		const cells = [r.from, r.number ?? '–', step, r.cost ?? '–', r.bound ?? '–', r.gap ?? '–', r.others ?? '–'];
		cells.forEach((text, at) => {
			const cell = document.createElement(at ? 'td' : 'th');
			if (!at) cell.scope = 'row';
			if (at === 1 || at === 3 || at === 4 || at === 6) cell.className = 'n';
			else if (at === 2 && (r.step === 'given up' || r.step === 'lost')) cell.className = 'bad';
			cell.textContent = text;
			tr.append(cell);
		});
		return tr;
	}
	document.addEventListener('street', ({ detail }) => {
		const f = detail.feeder, part = document.getElementById('d-judged');
		if (!part) return;
		part.hidden = !f?.judge;
		if (part.hidden) return;
		const none = f.rounds.length ? '' : ` ${phrase('A plan that holds nobody back needs no proof: none has been put forward yet.')}`;
		const note = f.unproved ? phrase('Plans are dispatched and not judged: {0}.', f.unproved) : `${phrase('By the contract {0}.', f.judge)}${none}`;
		document.getElementById('d-judge').textContent = note;
		document.getElementById('d-rounds').replaceChildren(...f.rounds.map(row));
	});
})();
