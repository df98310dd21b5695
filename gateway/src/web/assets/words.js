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
