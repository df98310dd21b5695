// What the door and a customer's page say, in every language that they speak: a language is one more column here, and, for
// the operator's page, one more table of phrases, which only they fetch who read it.

const TABLES = { de: './phrases.js' };

const WORDS = {
	en: {
		'door.title': 'Sign in', 'door.name': 'Name', 'door.password': 'Password', 'door.enter': 'Sign in',
		'door.first': 'Make the first operator', 'door.make': 'Make it and sign in',
		'door.first.note': 'Choose a name of small letters and a password of at least 10 letters. Others are added with: microgrid-gateway access user add.',
		'door.fresh': 'There are no users yet. The gateway’s journal has a link that makes the first operator.',
		'door.wrong': 'Name or password is not right.', 'door.code': 'The code is not right any more: the journal has the newest.',
		'door.used': 'The code in the link was good once, and is used up.',
		'door.away': 'The gateway does not answer. Trying again.',
		'own.balance': 'Balance', 'own.supply': 'Supply', 'own.now': 'Now', 'own.price': 'Price', 'own.used': 'Used so far',
		'own.none': 'Nothing paid in yet', 'own.days': 'Lasts about {0} days at this rate', 'own.owes': 'Owed beside it: {0}',
		'own.on': 'Connected', 'own.off': 'Disconnected', 'own.unknown': 'Position unknown', 'own.friendly': 'Stays connected until {0}',
		'own.feeding': 'fed in', 'own.never': 'Not read yet', 'own.read': 'Read {0} s ago', 'own.silent': 'The meter does not answer: the operator has been told',
		'own.peak': 'peak {0} at {1}', 'own.fed': '{0} kWh fed in',
		'own.receipt': 'Receipt of the last month', 'own.csv': 'All intervals as a table (CSV)',
		'own.dead': 'This link is not valid any more. Ask your operator for a new one.',
		'range.peak': 'Peak price now', 'range.off-peak': 'Off-peak price now',
		'credit.good': 'Credit is good', 'credit.low': 'Credit is low', 'credit.emergency_offered': 'Emergency credit is offered',
		'credit.emergency': 'On emergency credit', 'credit.friendly': 'Used up, in friendly hours', 'credit.exhausted': 'Used up: please top up',
		who: 'Signed in as {0}', leave: 'Sign out', language: 'Language',
	},
	de: {
		'door.title': 'Anmelden', 'door.name': 'Name', 'door.password': 'Passwort', 'door.enter': 'Anmelden',
		'door.first': 'Den ersten Betreiber anlegen', 'door.make': 'Anlegen und anmelden',
		'door.first.note': 'Wählen Sie einen Namen aus kleinen Buchstaben und ein Passwort von mindestens 10 Zeichen. Weitere kommen hinzu mit: microgrid-gateway access user add.',
		'door.fresh': 'Es gibt noch keine Benutzer. Im Journal des Gateways steht ein Link, der den ersten Betreiber anlegt.',
		'door.wrong': 'Name oder Passwort stimmt nicht.', 'door.code': 'Der Code gilt nicht mehr: der neueste steht im Journal.',
		'door.used': 'Der Code im Link galt einmal und ist verbraucht.',
		'door.away': 'Das Gateway antwortet nicht. Es wird wieder versucht.',
		'own.balance': 'Guthaben', 'own.supply': 'Versorgung', 'own.now': 'Jetzt', 'own.price': 'Preis', 'own.used': 'Bisher verbraucht',
		'own.none': 'Noch nichts eingezahlt', 'own.days': 'Reicht so etwa {0} Tage', 'own.owes': 'Daneben geschuldet: {0}',
		'own.on': 'Verbunden', 'own.off': 'Getrennt', 'own.unknown': 'Stellung unbekannt', 'own.friendly': 'Bleibt bis {0} verbunden',
		'own.feeding': 'eingespeist', 'own.never': 'Noch nicht abgelesen', 'own.read': 'Vor {0} s abgelesen', 'own.silent': 'Der Zähler antwortet nicht: der Betreiber weiß davon',
		'own.peak': 'Spitze {0} zu {1}', 'own.fed': '{0} kWh eingespeist',
		'own.receipt': 'Beleg des letzten Monats', 'own.csv': 'Alle Intervalle als Tabelle (CSV)',
		'own.dead': 'Dieser Link gilt nicht mehr. Bitten Sie Ihren Betreiber um einen neuen.',
		'range.peak': 'Jetzt Spitzenpreis', 'range.off-peak': 'Jetzt Nebenzeitpreis',
		'credit.good': 'Guthaben ist gut', 'credit.low': 'Guthaben ist niedrig', 'credit.emergency_offered': 'Notkredit wird angeboten',
		'credit.emergency': 'Auf Notkredit', 'credit.friendly': 'Aufgebraucht, in der Schonzeit', 'credit.exhausted': 'Aufgebraucht: bitte aufladen',
		who: 'Angemeldet als {0}', leave: 'Abmelden', language: 'Sprache',
	},
	es: {
		'door.title': 'Iniciar sesión', 'door.name': 'Nombre', 'door.password': 'Contraseña', 'door.enter': 'Entrar',
		'door.first': 'Crear el primer operador', 'door.make': 'Crear y entrar',
		'door.first.note': 'Elija un nombre en minúsculas y una contraseña de al menos 10 letras. Otros se añaden con: microgrid-gateway access user add.',
		'door.fresh': 'Aún no hay usuarios. El registro del sistema contiene un enlace que crea el primer operador.',
		'door.wrong': 'El nombre o la contraseña no son correctos.', 'door.code': 'El código ya no es válido: el registro contiene el más reciente.',
		'door.used': 'El código del enlace servía una vez y ya se ha usado.',
		'door.away': 'La pasarela no responde. Se intenta de nuevo.',
		'own.balance': 'Saldo', 'own.supply': 'Suministro', 'own.now': 'Ahora', 'own.price': 'Precio', 'own.used': 'Consumo acumulado',
		'own.none': 'Aún no se ha pagado nada', 'own.days': 'Alcanza para unos {0} días a este ritmo', 'own.owes': 'Deuda aparte: {0}',
		'own.on': 'Conectado', 'own.off': 'Desconectado', 'own.unknown': 'Posición desconocida', 'own.friendly': 'Sigue conectado hasta las {0}',
		'own.feeding': 'vertidos', 'own.never': 'Aún sin lectura', 'own.read': 'Leído hace {0} s', 'own.silent': 'El contador no responde: el operador ya lo sabe',
		'own.peak': 'punta {0} a {1}', 'own.fed': '{0} kWh vertidos',
		'own.receipt': 'Recibo del último mes', 'own.csv': 'Todos los intervalos en una tabla (CSV)',
		'own.dead': 'Este enlace ya no es válido. Pida uno nuevo a su operador.',
		'range.peak': 'Precio punta ahora', 'range.off-peak': 'Precio valle ahora',
		'credit.good': 'Saldo suficiente', 'credit.low': 'Saldo bajo', 'credit.emergency_offered': 'Hay crédito de emergencia disponible',
		'credit.emergency': 'Con crédito de emergencia', 'credit.friendly': 'Agotado, en horas amables', 'credit.exhausted': 'Agotado: recargue, por favor',
		who: 'Sesión de {0}', leave: 'Salir', language: 'Idioma',
	},
};

/** The languages there are, by their own names. */
export const NAMES = { en: 'English', de: 'Deutsch', es: 'Español' };
export const languages = Object.keys(WORDS);

/** What was chosen here before; a browser may keep nothing. */
function chosen() {
	try { return localStorage.getItem('language'); } catch { return null; }
}
export const language = [chosen(), ...(navigator.languages ?? []).map((tag) => tag.slice(0, 2))].find((tag) => WORDS[tag]) ?? 'en';
// English is better than nothing.
const PHRASES = TABLES[language] && (await import(TABLES[language]).catch(() => null))?.PHRASES[language];
export function choose(tag) {
	try { localStorage.setItem('language', tag); } catch { /* for this visit only */ }
	location.reload();
}

const fill = (words, values) => words.replace(/\{(\d)\}/g, (_, n) => values[n]);

/** The words for a key, with what varies put in. */
export const say = (key, ...values) => fill(WORDS[language][key] ?? WORDS.en[key] ?? key, values);

/** What was asked for and has no words in a language that has phrases. */
export const unsaid = new Set();

/** An English phrase of the operator's page in the visitor's language, where that has it. */
export function phrase(english, ...values) {
	const own = PHRASES?.[english];
	if (own == null && PHRASES) unsaid.add(english);
	return fill(own ?? english, values);
}

/** Puts what a page is written with into the visitor's language. */
export function translate(root) {
	if (!PHRASES) return;
	if (root === document) root.documentElement.lang = language;
	const texts = document.createTreeWalker(root, NodeFilter.SHOW_TEXT);
	while (texts.nextNode()) {
		const node = texts.currentNode, english = node.data.trim();
		if (/[a-z]{2}/.test(english) && !node.parentNode.closest?.('[data-say],[data-languages],script,noscript,code')) node.data = node.data.replace(english, () => phrase(english));
	}
	for (const node of root.querySelectorAll('[aria-label],[placeholder]')) {
		for (const name of ['aria-label', 'placeholder']) {
			const english = node.getAttribute(name);
			if (english && !/\d/.test(english)) node.setAttribute(name, phrase(english));
		}
	}
	for (const template of root.querySelectorAll('template')) translate(template.content);
}

/** Fills in what a page says by `data-say`. */
export function speak(root) {
	for (const node of root.querySelectorAll('[data-say]')) {
		node.textContent = say(node.dataset.say);
		if (language !== root.documentElement?.lang) node.lang = language;
	}
	for (const select of root.querySelectorAll('[data-languages]')) {
		select.replaceChildren(...languages.map((tag) => Object.assign(new Option(NAMES[tag], tag, tag === language, tag === language), { lang: tag })));
		select.addEventListener('change', () => choose(select.value));
	}
}
