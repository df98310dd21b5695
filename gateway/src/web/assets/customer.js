// One customer's own page. Data only ever becomes text, never markup.

import { language, say, speak } from './words.js';

const $ = (id) => document.getElementById(id);
const put = (id, text) => { $(id).textContent = text ?? ''; };
const base = location.pathname.replace(/\/+$/, '');
const EVERY_MS = 10000;
const number = (value, digits) => Number(value).toLocaleString(language, { minimumFractionDigits: digits, maximumFractionDigits: digits });

function draw({ site, now, local, tariff, home }) {
	document.title = `${home.account} – ${site}`;
	put('site', `${site}, ${local}`);
	put('account', home.account);
	put('balance', home.balance);
	put('credit', home.prepaid === false && home.credit === 'good' ? say('own.none') : say('credit.' + home.stage));
	$('credit').dataset.level = home.stage === 'good' ? 'good' : home.stage === 'exhausted' ? 'alarm' : 'warn';
	put('days', [home.days_left != null && say('own.days', number(home.days_left, 1)), home.owes && say('own.owes', home.debt)].filter(Boolean).join(' · '));
	const open = home.connected.includes('open'), known = !home.connected.includes(null);
	put('supply', say(open ? 'own.off' : known ? 'own.on' : 'own.unknown'));
	put('why', open ? home.supply_reason : home.friendly_until_local ? say('own.friendly', home.friendly_until_local) : '');
	const live = home.meters.length && home.meters.every((m) => m.ok && m.power_w != null);
	const watts = home.meters.reduce((sum, m) => sum + (m.power_w ?? 0), 0);
	put('power', live ? `${number(Math.abs(watts), 0)} W${watts < 0 ? ' ' + say('own.feeding') : ''}` : '–');
	const oldest = home.meters.map((m) => Date.parse(m.at)).filter(Number.isFinite).sort((a, b) => a - b)[0];
	put('age', oldest == null ? say('own.never') : live ? say('own.read', Math.max(0, Math.round((Date.parse(now) - oldest) / 1000))) : say('own.silent'));
	put('price', tariff.price);
	put('hours', [say('range.' + tariff.range), tariff.peak_hours.length && say('own.peak', tariff.peak_hours.join(', '), tariff.peak)].filter(Boolean).join(' · '));
	put('used', `${number(home.used_kwh, 2)} kWh`);
	put('fed', home.prosumer ? say('own.fed', number(home.fed_in_kwh, 2)) : '');
}

let timer = 0;
async function look() {
	clearTimeout(timer);
	try {
		const reply = await fetch(`${base}/state`, { cache: 'no-store', signal: AbortSignal.timeout(8000) });
		if (reply.status === 404) {
			put('lost', say('own.dead'));
			$('lost').hidden = false;
			document.querySelector('main').hidden = true;
			return;
		}
		if (!reply.ok) throw new Error(reply.status);
		draw(await reply.json());
		$('lost').hidden = true;
	} catch {
		put('lost', say('door.away'));
		$('lost').hidden = false;
	}
	timer = setTimeout(look, EVERY_MS);
}
document.addEventListener('visibilitychange', () => { if (!document.hidden) look(); });
document.documentElement.lang = language;
const month = new Date(Date.now() - 31 * 864e5).toISOString().slice(0, 10);
$('receipt').href = `${base}/receipt?as=html&from=${month}`;
$('csv').href = `${base}/intervals.csv`;
speak(document);
look();
