// Ranges and prices of today and tomorrow, and the forecast that they follow from.

import { phrase } from './words.js';

const $ = (id) => document.getElementById(id);
const SVG = 'http://www.w3.org/2000/svg';
let drawn = '';

function bar(node, stretches, now) {
	const from = Date.parse(stretches[0]?.from), to = Date.parse(stretches.at(-1)?.to), all = to - from;
	node.replaceChildren(...stretches.map((s) => {
		const span = document.createElement('span');
		span.className = s.range;
		span.style.left = `${(100 * (Date.parse(s.from) - from)) / all}%`;
		span.style.width = `${(100 * (Date.parse(s.to) - Date.parse(s.from))) / all}%`;
		span.textContent = s.hours;
		span.title = `${s.hours} ${phrase(s.range.replace('_', '-'))}, ${s.price}`;
		return span;
	}));
	if (now >= from && now < to) {
		const mark = document.createElement('i');
		mark.style.left = `${(100 * (now - from)) / all}%`;
		node.append(mark);
	}
}

function words(stretches) {
	return stretches.map((s) => Object.assign(document.createElement('li'), { textContent: `${s.hours} ${phrase(s.range.replace('_', '-'))} ${s.price}` }));
}

/** The forecast as steps, with the band in which four of five are expected, over the dearer hours. */
function picture(svg, f) {
	const n = f.values.length, low = Math.min(0, ...f.band.map((b) => b[0])), high = Math.max(1, ...f.band.map((b) => b[1]), ...f.values);
	const x = (i) => ((i * 1000) / n).toFixed(1), y = (v) => (100 - (100 * (v - low)) / (high - low)).toFixed(1);
	const steps = (of) => Array.from({ length: n }, (_, i) => `${i ? 'L' : 'M'}${x(i)} ${y(of(i))}L${x(i + 1)} ${y(of(i))}`).join('');
	const back = Array.from({ length: n }, (_, i) => n - 1 - i).map((i) => `L${x(i + 1)} ${y(f.band[i][0])}L${x(i)} ${y(f.band[i][0])}`).join('');
	const dear = f.labels.map((l, i) => (l ? `M${x(i)} 0H${x(i + 1)}V100H${x(i)}Z` : '')).join('');
	const path = (kind, d) => {
		const node = document.createElementNS(SVG, 'path');
		node.setAttribute('class', kind);
		node.setAttribute('d', d);
		return node;
	};
	svg.replaceChildren(path('dear', dear), path('band', steps((i) => f.band[i][1]) + back + 'Z'), path('said', steps((i) => f.values[i])));
	return phrase('up to {0}', `${Math.round(high)}\u00a0W`);
}

document.addEventListener('snapshot', ({ detail: s }) => {
	const p = s.prices;
	if (!p?.now) return;
	const key = JSON.stringify(p) + s.now.slice(0, 16);
	if (key === drawn) return;
	drawn = key;
	$('p-prices').hidden = false;
	bar($('p-today'), p.today, Date.parse(s.now));
	bar($('p-tomorrow'), p.tomorrow, 0);
	$('p-tonight').replaceChildren(...words(p.cheap_tonight));
	const f = p.forecast;
	$('p-why').textContent = p.problem ? phrase('The ranges stay as they are: {0}.', p.problem)
		: p.waiting ? `${p.waiting}.`
		: !p.by_forecast ? phrase('The ranges are fixed.')
		: phrase(f ? 'Tomorrow’s ranges are announced every day at a set time, from a forecast of the homes’ load.' : 'Tomorrow’s ranges are not announced yet.');
	$('p-why').dataset.level = p.problem ? 'alarm' : '';
	$('p-figure').hidden = !f;
	if (!f) return;
	const scale = picture($('p-line'), f);
	$('p-caption').textContent = phrase('The homes’ load from {0} on by “{1}”, {2}; in the band four of five times.', f.from_local, f.chosen, scale) + ' ' +
		phrase('Learned from {0} to {1}; announced {2}. Model {3}…, forecast {4}…', f.data[0].slice(0, 10), f.data[1].slice(0, 10), f.announced_local, f.model.slice(0, 14), f.forecast.slice(0, 14));
});
