// What MQTT.js makes of the broker.
//
//     mqttjs_client.mjs PORT VERSION
//
// VERSION is 4 (3.1.1) or 5. It tries everything, says "well", and then publishes numbers while somebody kills the broker and
// starts it again at the same port, as often as it says "kill me". Says "all of it" when every number came exactly once,
// in order. Whatever does not hold ends it with a stack trace.
import assert from 'node:assert/strict'
import mqtt from 'mqtt'

const [port, protocolVersion] = process.argv.slice(2).map(Number)
const v5 = protocolVersion === 5
const room = `js${protocolVersion}`
const PATIENCE = 30_000
const KILLS = 3
const NUMBERS = 1500

const alarm = setTimeout(() => { throw new Error('it took too long') }, 5 * PATIENCE)

class Client {
  heard = []
  waiting = []

  static async open(name, options = {}) {
    const { lasting = false, ...rest } = options
    const client = new Client()
    client.mqtt = mqtt.connect({
      host: '127.0.0.1', port, protocolVersion, clientId: name, clean: !lasting, reconnectPeriod: 0,
      ...(v5 ? { properties: { sessionExpiryInterval: lasting ? 600 : 0 } } : {}), ...rest,
    })
    client.mqtt.on('error', () => {})
    client.mqtt.on('message', (topic, payload, packet) => {
      client.heard.push({ topic, text: payload.toString(), payload, ...packet })
      client.waiting.splice(0).forEach(tell => tell())
    })
    client.closed = new Promise(tell => client.mqtt.once('disconnect', packet => tell(packet.reasonCode)).once('close', tell))
    client.connack = await new Promise((tell, refuse) => client.mqtt.once('connect', tell).once('error', refuse))
    return client
  }

  async next() {
    while (this.heard.length === 0) await new Promise(tell => this.waiting.push(tell))
    return this.heard.shift()
  }

  async until(last) {
    const heard = []
    do heard.push(await this.next())
    while (heard.at(-1).text !== last)
    return heard
  }

  publish(topic, text, options = { qos: 1 }) {
    return this.mqtt.publishAsync(topic, text, options)
  }

  async subscribe(filter, options = { qos: 2 }) {
    const granted = await this.mqtt.subscribeAsync(filter, options)
    return granted.map(one => one.qos)
  }
}

async function everyQuality() {
  const [listener, speaker] = [await Client.open(''), await Client.open('')]
  assert.deepEqual(await listener.subscribe(`${room}/q/+`), [2])
  for (const qos of [0, 1, 2]) {
    await Promise.all(Array.from({ length: 200 }, (_, n) => speaker.publish(`${room}/q/${qos}`, `${n}`, { qos })))
    for (let n = 0; n < 200; n++) {
      const m = await listener.next()
      assert.deepEqual([m.topic, m.text, m.qos, m.retain, m.dup], [`${room}/q/${qos}`, `${n}`, qos, false, false])
    }
  }
  await Promise.all([listener.mqtt.endAsync(), speaker.mqtt.endAsync()])
}

async function retainedAndLarge() {
  const speaker = await Client.open('')
  const large = Buffer.alloc(250_000, 'ö')
  await speaker.publish(`${room}/kept/large`, large, { qos: 2, retain: true })
  await speaker.publish(`${room}/kept/gone`, 'x', { qos: 0, retain: true })
  await speaker.publish(`${room}/kept/gone`, '', { qos: 1, retain: true })
  const late = await Client.open('')
  await late.subscribe(`${room}/kept/#`)
  await speaker.publish(`${room}/kept`, 'end', { qos: 2 })
  const [kept, end, more] = [await late.next(), await late.next(), late.heard.length]
  assert.ok(kept.payload.equals(large) && kept.retain && end.text === 'end' && more === 0)
  // Beyond 257 KiB only its sender is put out.
  speaker.mqtt.publish(`${room}/kept/large`, Buffer.alloc(300_000), { qos: 1 })
  const why = await speaker.closed
  assert.ok(!v5 || why === 149, `${why}`)
  await late.mqtt.endAsync()
}

async function willsAndTwins() {
  const heir = await Client.open('')
  await heir.subscribe(`${room}/will`)
  const will = { topic: `${room}/will`, payload: 'polite', qos: 1 }
  await (await Client.open('', { will })).mqtt.endAsync()
  const rude = await Client.open('', { will: { ...will, payload: 'rude' } })
  rude.mqtt.stream.destroy()
  assert.equal((await heir.next()).text, 'rude')
  const first = await Client.open(`${room}-twin`, { lasting: true })
  const second = await Client.open(`${room}-twin`, { lasting: true })
  const why = await first.closed
  assert.ok(!v5 || why === 142, `${why}`)
  assert.equal(second.connack.sessionPresent, true)
  // A will that waits is not published when its client is back before.
  if (v5) {
    const late = { ...will, payload: 'late', properties: { willDelayInterval: 60 } }
    const gone = await Client.open(`${room}-late`, { lasting: true, will: late })
    gone.mqtt.stream.destroy()
    await gone.closed
    const back = await Client.open(`${room}-late`, { lasting: true })
    await back.publish(`${room}/will`, 'end')
    assert.equal((await heir.next()).text, 'end')
    await back.mqtt.endAsync()
  }
  await Promise.all([heir, second].map(client => client.mqtt.endAsync()))
}

async function propertiesOf5() {
  const [listener, speaker] = [await Client.open(''), await Client.open('')]
  assert.ok(listener.connack.properties.assignedClientIdentifier)
  await listener.subscribe(`${room}/v5`, { qos: 1, properties: { subscriptionIdentifier: 7 } })
  const properties = {
    payloadFormatIndicator: true, messageExpiryInterval: 500, contentType: 'text/plain', responseTopic: `${room}/answer`,
    correlationData: Buffer.from([0, 255]), userProperties: { unit: ['W', 'kW'] },
  }
  await speaker.publish(`${room}/v5`, 'x', { qos: 1, properties })
  const heard = (await listener.next()).properties
  assert.equal(heard.subscriptionIdentifier, 7)
  assert.ok(heard.messageExpiryInterval >= 490 && heard.messageExpiryInterval <= 500)
  const same = { ...heard, subscriptionIdentifier: undefined, messageExpiryInterval: 500 }
  assert.deepEqual(JSON.parse(JSON.stringify(same)), JSON.parse(JSON.stringify(properties)))
  await assert.rejects(speaker.subscribe(`$share/group/${room}`), /Shared Subscriptions not supported/)
  await Promise.all([listener, speaker].map(client => client.mqtt.endAsync()))
}

// By QoS 2, through kills: both ends keep their half of what is under way, and the broker its own.
async function throughKills() {
  const stays = { lasting: true, reconnectPeriod: 50 }
  const [listener, speaker] = [await Client.open(`${room}-listener`, stays), await Client.open(`${room}-speaker`, stays)]
  await listener.subscribe(`${room}/numbers`)
  const sent = []
  for (let n = 0; n < NUMBERS; n++) {
    sent.push(speaker.publish(`${room}/numbers`, `${n}`, { qos: 2 }))
    if (n % (NUMBERS / KILLS) === NUMBERS / KILLS / 2) console.log('kill me')
    // No more under way than the broker takes.
    if (sent.length >= 50) await sent.shift()
  }
  await Promise.all(sent)
  const heard = []
  while (heard.length < NUMBERS) heard.push(Number((await listener.next()).text))
  assert.deepEqual(heard, Array.from({ length: NUMBERS }, (_, n) => n))
  await speaker.publish(`${room}/numbers`, 'end', { qos: 2 })
  assert.equal((await listener.next()).text, 'end')
  await Promise.all([listener, speaker].map(client => client.mqtt.endAsync()))
}

for (const step of [everyQuality, retainedAndLarge, willsAndTwins, ...(v5 ? [propertiesOf5] : [])]) {
  await step()
  console.log(step.name)
}
console.log('well')
await throughKills()
console.log('all of it')
clearTimeout(alarm)
