// Help on a page of another origin, with keys, under the strictest policy that the scripts can work with.
import { readFile } from 'node:fs/promises'
import { asked, context, gateway, get, require, site, told, until } from './browser.mjs'

const socket = gateway.replace('http', 'ws')
const policy = `default-src 'none'; script-src 'self' ${gateway}; connect-src ${gateway} ${socket}; require-trusted-types-for 'script'; trusted-types 'none'`
const page = (lang, dir) => `<!doctype html><html lang="${lang}" dir="${dir}"><title>shop</title>
<script src="/user.js"></script><script src="${gateway}/t.js" data-key="${asked.key}"></script>
<script src="${gateway}/widget.js" data-key="${asked.key}"></script>
<main><h1>Shop</h1><label>Search <input id="search"></label></main>`
const user = `const user = new URL(location).searchParams.get('user')
journeymesh = [['identify', user, { token: ${JSON.stringify(asked.tokens)}[user] }]]`
const pages = { '/en': page('en', 'ltr'), '/de': page('de', 'rtl'), '/user.js': user }

const struggle = (tab) =>
  tab.evaluate(async () => {
    for (let i = 0; i < 3; i++) await journeymesh.track('task_failure', { task: 'search' })
  })
const card = (tab) => tab.getByRole('dialog')
const focus = (tab) => tab.evaluate(() => document.activeElement.id || document.activeElement.localName)
/** What became of a user's help. */
const outcome = (of, wanted) =>
  until(async () => {
    const { decisions } = await get(`/api/decisions?userId=${of}`)
    const outcomes = decisions.filter((each) => each.intervention).map((each) => each.outcome)
    return outcomes.includes(wanted) && outcomes
  }, `${of}: ${wanted}`)

await told(async (browser) => {
  const { origin, close } = await site(pages, { 'content-security-policy': policy })
  const hosts = [new URL(origin).host, new URL(gateway).host]
  const found = { faults: [] }

  const open = async (of, { path = '/en', before, options } = {}) => {
    const { made, faults } = await context(browser, { hosts, ...options })
    found.faults.push(faults)
    if (before) await made.addInitScript(before)
    const tab = await made.newPage()
    await tab.goto(`${origin}${path}?user=${of}`)
    return { made, tab }
  }

  // By keyboard; the card is announced, takes no focus and gives it back.
  const keyboard = await open('keyboard')
  await keyboard.tab.focus('#search')
  await struggle(keyboard.tab)
  await card(keyboard.tab).waitFor()
  const steps = [await focus(keyboard.tab)]
  for (const key of ['F6', 'F6', 'F6', 'Escape']) {
    await keyboard.tab.keyboard.press(key)
    steps.push(await focus(keyboard.tab))
  }
  found.keyboard = { steps, shown: await card(keyboard.tab).count(), outcomes: await outcome('keyboard', 'declined') }
  await keyboard.made.close()

  // In German, from right to left; checked for access, and for markup in what somebody else wrote.
  const read = await open('reader', { path: '/de', options: { bypassCSP: true } })
  await struggle(read.tab)
  await card(read.tab).waitFor()
  await read.tab.evaluate(await readFile(require.resolve('axe-core/axe.min.js'), 'utf8'))
  found.reader = await read.tab.evaluate(async () => {
    const { violations } = await axe.run()
    const host = document.querySelector('journeymesh-help')
    const dialog = host.shadowRoot.querySelector('[role=dialog]')
    const { left, right } = dialog.getBoundingClientRect()
    return {
      violations: violations.map(({ id, nodes }) => `${id}: ${nodes.map((node) => node.html)}`),
      status: host.shadowRoot.querySelector('[role=status]').textContent,
      buttons: [...dialog.querySelectorAll('button')].map((button) => button.textContent),
      isLast: host === document.body.lastElementChild,
      isAtTheStart: left < innerWidth - right,
    }
  })
  await read.made.close()

  // Two tabs show it once; the second takes over when the first is closed.
  const tabs = await open('tabs')
  const second = await tabs.made.newPage()
  await second.goto(`${origin}/en?user=tabs`)
  await struggle(tabs.tab)
  const shown = async () => (await card(tabs.tab).count()) + (await card(second).count())
  await until(async () => (await shown()) > 0, 'help in a tab')
  await second.waitForTimeout(1000)
  found.tabs = { shown: await shown() }
  const [first, other] = (await card(tabs.tab).count()) ? [tabs.tab, second] : [second, tabs.tab]
  await first.close()
  await card(other).getByRole('button', { name: 'Start live chat' }).click()
  found.tabs.outcomes = await outcome('tabs', 'accepted')
  await tabs.made.close()

  // Help that is no longer needed goes by itself.
  const solved = await open('solved')
  await struggle(solved.tab)
  await card(solved.tab).waitFor()
  await solved.tab.evaluate(() => journeymesh.track('task_success', { task: 'search' }))
  await card(solved.tab).waitFor({ state: 'hidden' })
  found.solved = await outcome('solved', 'withdrawn')
  await solved.made.close()

  // Where no socket can be opened, and where no stream can be either.
  for (const [of, before] of [
    ['streams', () => delete globalThis.WebSocket],
    ['asks', () => [delete globalThis.WebSocket, delete globalThis.EventSource]],
  ]) {
    const way = await open(of, { before })
    await struggle(way.tab)
    await card(way.tab).waitFor({ timeout: 30_000 })
    await card(way.tab).getByRole('button', { name: 'Maybe later' }).click()
    found[of] = await outcome(of, 'declined')
    await way.made.close()
  }
  close()
  found.faults = found.faults.flat()
  return found
})
