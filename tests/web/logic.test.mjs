// What needs no browser, from the package as it is published: PACKAGE has it.
import assert from 'node:assert/strict'
import { readFile } from 'node:fs/promises'
import test from 'node:test'

const { assign, configured } = await import(`${process.env.PACKAGE}/dist/tracker/experiments.js`)
const { newId } = await import(`${process.env.PACKAGE}/dist/tracker/ids.js`)
const { kindOf, textsIn } = await import(`${process.env.PACKAGE}/dist/widget/texts.js`)

test('ids are UUIDs of version 7, in the order in which they were made', () => {
  const ids = Array.from({ length: 5000 }, newId)
  assert.deepEqual(ids, [...ids].sort())
  assert.equal(new Set(ids).size, ids.length)
  for (const id of ids) assert.match(id, /^[0-9a-f]{8}-[0-9a-f]{4}-7[0-9a-f]{3}-a[0-9a-f]{3}-[0-9a-f]{12}$/)
  assert.ok(Math.abs(parseInt(ids[0].replace('-', '').slice(0, 12), 16) - Date.now()) < 10_000)
})

test('arms of experiments are those of the published examples', async () => {
  const vectors = JSON.parse(await readFile(new URL('../experiments/vectors.json', import.meta.url), 'utf8'))
  assert.ok(vectors.length >= 40)
  for (const { arms, unit, arm, reason, ...rest } of vectors)
    assert.deepEqual(await assign({ ...rest, arms: arms.map(([name, weight]) => ({ name, weight })) }, unit), { arm, reason })
})

test('a configuration is read if it is signed by the key that is known, and of the last day', async () => {
  const { publicKey, issuedAt, ...answer } = JSON.parse(await readFile(new URL('../experiments/signed.json', import.meta.url), 'utf8'))
  const now = issuedAt * 1000
  const [tone] = await configured(answer, publicKey, now)
  assert.deepEqual([tone.id, tone.state, tone.arms[1].value], ['tone', 'running', 'Größe'])
  assert.ok(['control', 'warm'].includes((await assign(tone, 'u-1')).arm))
  await assert.rejects(configured(answer, publicKey, now + 25 * 3600 * 1000), /more than a day/)
  const forged = { ...answer, payload: btoa(atob(answer.payload).replace('"percent":25.0', '"percent":99.0')) }
  await assert.rejects(configured(forged, publicKey, now), /not signed/)
  await assert.rejects(configured(answer, btoa('k'.repeat(32)), now))
})

test('each action of the policies is offered as what it is', () => {
  const offers = { show_live_chat_popup: 'chat', send_chat_message: 'chat', send_help_email: 'email', show_help_tip: 'tip', show_guide: 'tutorial' }
  for (const [action, kind] of Object.entries(offers)) assert.equal(kindOf({ action, content: ['guide', 'support_link'], handledBy: 'ai' }), kind)
})

test('texts are in the language of the page, else in English, and may be replaced', () => {
  assert.equal(textsIn('de-AT').close, 'Schließen')
  assert.equal(textsIn('xx').close, 'Close')
  assert.equal(textsIn('en', { close: 'Away' }).close, 'Away')
  const all = ['en', 'de', 'fr', 'es'].map((language) => textsIn(language))
  for (const texts of all) assert.deepEqual(Object.keys(texts), Object.keys(all[0]))
})

test('an event of a page that goes is kept, whether or not it can be sent now and is stored in time', async () => {
  const listeners = {}
  const kept = []
  const beacons = []
  const own = { addEventListener: (name, act) => (listeners[name] ??= []).push(act), document: { visibilityState: 'visible' }, localStorage: {} }
  Object.assign(globalThis, own)
  const online = (onLine) => Object.defineProperty(globalThis, 'navigator', { configurable: true, value: { onLine, sendBeacon: (_, body) => beacons.push(body), locks: {} } })
  const never = { put: () => new Promise(() => {}), keep: (events) => kept.push(...events), oldest: async () => [], drop: async () => {} }
  const { sender } = await import(`${process.env.PACKAGE}/dist/tracker/sender.js`)
  const sending = sender(never, 'http://mesh.example/api/events/track', () => ({}))
  const event = (number) => ({ id: newId(), json: `{"eventType":"click","number":${number}}` })
  const [offline, late] = [event(1), event(2)]
  online(false)
  void sending.add(offline, false)
  for (const act of listeners.pagehide) act()
  assert.deepEqual(kept, [offline])
  assert.deepEqual(beacons, [])
  online(true)
  void sending.add(late, false)
  for (const act of listeners.pagehide) act()
  assert.deepEqual(kept, [offline, late])
  assert.equal(beacons.length, 1)
  assert.match(beacons[0], /"number":1.*"number":2/)
  for (const act of listeners.pagehide) act()
  assert.equal(beacons.length, 1)
})
