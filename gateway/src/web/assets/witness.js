// The neighbourhood's witnesses: who may check and settle, who dissented, and what became of our own batch.

import { phrase } from './words.js';

const $ = (id) => document.getElementById(id);
let drawn = '';

function row(m, own) {
	const cells = [
		`${m.address.slice(0, 8)}…${m.address.slice(-6)}${own ? ` ${phrase('(this gateway)')}` : ''}`,
		phrase(m.flagged ? 'flagged' : m.member ? 'member' : 'no member'),
		String(m.dissents),
		own ? '' : m.heard ? new Date(m.heard).toLocaleTimeString() : phrase('never'),
	];
	const tr = document.createElement('tr');
	tr.title = m.address;
	tr.append(...cells.map((text) => Object.assign(document.createElement('td'), { textContent: text })));
	return tr;
}

document.addEventListener('snapshot', ({ detail: s }) => {
	const w = s.witness, key = JSON.stringify(w ?? null);
	if (key === drawn) return;
	drawn = key;
	$('p-witness').hidden = !w;
	if (!w) return;
	$('w-asking').textContent = w.asking ? `${w.asking.slice(0, 10)}…` : phrase('nothing');
	$('w-agreed').textContent = w.agreed;
	$('w-refused').textContent = w.refused;
	$('w-members').replaceChildren(...w.members.map((m) => row(m, m.address === w.address)));
	$('w-note').textContent = w.problem ?? phrase('A batch is settled once enough of a set, drawn by {0}, have signed it.', w.contract);
});
