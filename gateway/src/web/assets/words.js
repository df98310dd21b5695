// What the door and a customer's page say, in every language that they speak: a language is one more column here.

const WORDS = {
	en: {
		'door.title': 'Sign in', 'door.name': 'Name', 'door.password': 'Password', 'door.enter': 'Sign in',
		'door.first': 'Make the first operator', 'door.make': 'Make it and sign in',
		'door.first.note': 'Choose a name of small letters and a password of at least 10 letters. Others are added with: microgrid-gateway access user add.',
		'door.fresh': 'There are no users yet. The gateway’s journal has a link that makes the first operator.',
		'door.wrong': 'Name or password is not right.', 'door.code': 'The code is not right any more: the journal has the newest.',
		'door.used': 'The code in the link was good once, and is used up.',
		'door.away': 'The gateway does not answer. Trying again.',
		who: 'Signed in as {0}', leave: 'Sign out',
	},
	es: {
		'door.title': 'Iniciar sesión', 'door.name': 'Nombre', 'door.password': 'Contraseña', 'door.enter': 'Entrar',
		'door.first': 'Crear el primer operador', 'door.make': 'Crear y entrar',
		'door.first.note': 'Elija un nombre en minúsculas y una contraseña de al menos 10 letras. Otros se añaden con: microgrid-gateway access user add.',
		'door.fresh': 'Aún no hay usuarios. El registro del sistema contiene un enlace que crea el primer operador.',
		'door.wrong': 'El nombre o la contraseña no son correctos.', 'door.code': 'El código ya no es válido: el registro contiene el más reciente.',
		'door.used': 'El código del enlace servía una vez y ya se ha usado.',
		'door.away': 'La pasarela no responde. Se intenta de nuevo.',
		who: 'Sesión de {0}', leave: 'Salir',
	},
};

export const language = (navigator.languages ?? []).map((tag) => tag.slice(0, 2)).find((tag) => WORDS[tag]) ?? 'en';

/** The words for a key, with what varies put in. */
export const say = (key, ...values) => (WORDS[language][key] ?? WORDS.en[key] ?? key).replace(/\{(\d)\}/g, (_, n) => values[n]);

/** Fills in what a page says by `data-say`. */
export function speak(root) {
	for (const node of root.querySelectorAll('[data-say]')) {
		node.textContent = say(node.dataset.say);
		if (language !== root.documentElement?.lang) node.lang = language;
	}
}
