// Who is here: signing in and out, and what every act carries. Without a session the page shows the door and nothing else.

import { say, speak } from './words.js';

const $ = (id) => document.getElementById(id);
const body = document.body, door = $('door'), form = door.querySelector('form'), said = $('d-said');
let session = null, entered = [], code = '';

/** Calls back whenever somebody is let in. */
export function onEnter(call) {
	entered.push(call);
	if (session) call();
}
/** Shows the door: the session is over, or there was none. */
export function leave(fresh) {
	session = null;
	delete body.dataset.in;
	delete body.dataset.can;
	door.hidden = false;
	const first = !!fresh && !!code;
	$('d-title').textContent = say(first ? 'door.first' : 'door.title');
	$('d-note').textContent = first ? say('door.first.note') : fresh ? say('door.fresh') : '';
	form.querySelector('button').textContent = say(first ? 'door.make' : 'door.enter');
	form.elements.password.autocomplete = first ? 'new-password' : 'current-password';
	form.elements.name.focus();
}
function enter(who) {
	session = who;
	code = '';
	form.reset();
	said.textContent = '';
	door.hidden = true;
	body.dataset.in = '1';
	body.dataset.can = who.scopes.join(' ');
	$('b-who').textContent = say('who', who.name);
	for (const call of entered) call();
}
async function send(path, method, what) {
	const headers = { 'Content-Type': 'application/json' };
	if (session?.csrf) headers['X-CSRF-Token'] = session.csrf;
	return fetch(path, { method, headers, body: what === undefined ? undefined : JSON.stringify(what) });
}
/** One act of whoever is here. What is wrong comes as an error in the gateway's words. */
export async function post(path, what) {
	const reply = await send(path, 'POST', what);
	if (reply.status === 401) leave();
	if (!reply.ok) throw new Error((await reply.text()) || reply.statusText);
	return reply.json();
}

form.addEventListener('submit', async (event) => {
	event.preventDefault();
	const { name, password } = form.elements, button = form.querySelector('button');
	const typed = { name: name.value.trim(), password: password.value };
	button.disabled = true;
	said.textContent = '';
	try {
		const reply = code ? await send('api/v1/setup', 'POST', { ...typed, code }) : await send('api/v1/session', 'POST', typed);
		if (reply.ok) return enter(await reply.json());
		said.textContent = reply.status === 401 ? say(code ? 'door.code' : 'door.wrong') : await reply.text();
	} catch {
		said.textContent = say('door.away');
	} finally {
		button.disabled = false;
	}
	password.value = '';
	password.focus();
});
$('leave').addEventListener('click', async () => {
	try { await send('api/v1/session', 'DELETE'); } catch { /* it ends by itself */ }
	location.reload();
});

/** Who is here already? A link may carry a code: after the #, which is sent to nobody. */
async function begin() {
	const [what, value] = location.hash.slice(1).split('=');
	if (what === 'code' || what === 'setup') history.replaceState(null, '', location.pathname);
	const reply = await fetch('api/v1/session', { cache: 'no-store' });
	if (reply.ok) return enter(await reply.json());
	if (what === 'code') {
		const guest = await send('api/v1/session', 'POST', { code: value });
		if (guest.ok) return enter(await guest.json());
		leave();
		said.textContent = say('door.used');
		return;
	}
	code = what === 'setup' ? value : '';
	leave((await reply.json().catch(() => ({}))).new);
}
async function tryAgain() {
	try {
		await begin();
	} catch {
		leave();
		said.textContent = say('door.away');
		setTimeout(tryAgain, 5000);
	}
}
speak(document);
tryAgain();
