// What needs no browser, from the package as it is published: PACKAGE has it.
import assert from 'node:assert/strict'
import test from 'node:test'

const { newId } = await import(`${process.env.PACKAGE}/dist/tracker/ids.js`)
const { kindOf, textsIn } = await import(`${process.env.PACKAGE}/dist/widget/texts.js`)

test('ids are UUIDs of version 7, in the order in which they were made', () => {
  const ids = Array.from({ length: 5000 }, newId)
  assert.deepEqual(ids, [...ids].sort())
  assert.equal(new Set(ids).size, ids.length)
  for (const id of ids) assert.match(id, /^[0-9a-f]{8}-[0-9a-f]{4}-7[0-9a-f]{3}-a[0-9a-f]{3}-[0-9a-f]{12}$/)
  assert.ok(Math.abs(parseInt(ids[0].replace('-', '').slice(0, 12), 16) - Date.now()) < 10_000)
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
