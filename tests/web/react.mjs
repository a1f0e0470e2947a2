// React on a page: rendered by a server, taken over by the browser, with everything done twice as StrictMode does.
import { readFile } from 'node:fs/promises'
import { asked, context, gateway, get, site, told, until } from './browser.mjs'

const { render } = await import(asked.server)
const bundle = await readFile(asked.bundle, 'utf8')
const page = `<!doctype html><html lang="en"><title>Shop</title><div id="root" data-server="${gateway}">${render(gateway)}</div><script src="/bundle.js"></script>`

await told(async (browser) => {
  const { origin, close } = await site({ '/bundle.js': bundle, '*': page })
  const { made, faults } = await context(browser, { hosts: [new URL(origin).host] })
  const tab = await made.newPage()
  const events = async (user, holds) => {
    const found = await until(async () => {
      const all = ((await get(`/api/users/${user}/events`))?.events ?? []).filter((event) => !event.copiedEventId).reverse()
      return holds(all) && all
    }, `events of ${user}`)
    return found.map(({ eventType, properties }) => [eventType, properties.page, properties.feature ?? properties.task ?? properties.element ?? ''])
  }
  const has = (feature) => (all) => all.some(({ properties }) => properties.feature === feature)
  const says = (feature) => tab.evaluate((feature) => window.tracker.track('feature_interaction', { feature }), feature)

  await tab.goto(origin)
  await tab.waitForFunction(() => window.tracker)
  await tab.waitForTimeout(1500)
  await tab.click('#search')
  await tab.click('#broken')
  for (let i = 1; i <= 50; i++) await tab.evaluate((i) => window.setRenders(i), i)
  await tab.waitForFunction(() => document.querySelector('#renders').textContent === '50')
  await tab.waitForTimeout(2600)
  await says('rendered')

  // Taken away, and shown again: the page goes on being tracked, once.
  await tab.evaluate(() => window.setShown(false))
  await tab.waitForSelector('#search', { state: 'detached' })
  await tab.evaluate(() => history.pushState({}, '', '/away'))
  await tab.waitForTimeout(500)
  await tab.evaluate(() => window.setShown(true))
  await tab.click('#search')
  await tab.waitForTimeout(500)
  await says('again')
  const ada = await events('ada', has('again'))

  // Logged out, somebody is nobody until the next login.
  const anonymous = await tab.evaluate(() => localStorage['journeymesh.anonymous'])
  await tab.evaluate(() => window.setUser(undefined))
  await until(() => tab.evaluate((before) => localStorage['journeymesh.anonymous'] !== before, anonymous), 'another anonymous id')
  await says('nobody')
  const nobody = await tab.evaluate(() => localStorage['journeymesh.anonymous'])
  await tab.evaluate(() => window.tracker.flush())
  const away = await events(nobody, has('nobody'))
  await tab.evaluate(() => window.setUser({ id: 'bob' }))
  await tab.waitForTimeout(300)
  await says('bob')
  const bob = await events('bob', has('bob'))
  await made.close()
  close()
  return { faults, ada, away, bob }
})
