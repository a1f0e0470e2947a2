// Help on a page of another origin, with keys, under the strictest policy that the scripts can work with.
import { readFile } from 'node:fs/promises'
import { asked, context, gateway, get, require, site, told, until } from './browser.mjs'

const socket = gateway.replace('http', 'ws')
const policy = `default-src 'none'; script-src 'self' ${gateway}; connect-src ${gateway} ${socket}; require-trusted-types-for 'script'; trusted-types 'none'`
const page = (lang, dir) => `<!doctype html><html lang="${lang}" dir="${dir}"><title>shop</title>
<script src="/user.js"></script><script src="${gateway}/t.js" data-key="${asked.key}"></script>
<script src="${gateway}/widget.js" data-key="${asked.key}"></script>
<main><h1>Shop</h1><label data-journeymesh-help="elsewhere show_live_chat_popup">Search <input id="search"></label></main>
<dialog><label>Card <input id="number"></label></dialog>`
const user = `const user = new URL(location).searchParams.get('user')
journeymesh = [['identify', user, { token: ${JSON.stringify(asked.tokens)}[user] }]]`
const plain = page('en', 'ltr').replace(/ data-journeymesh-help="[^"]*"/, '')
const pages = { '/plain': plain, '/de-plain': page('de', 'rtl').replace(/ data-journeymesh-help="[^"]*"/, ''), '/en': page('en', 'ltr'), '/de': page('de', 'rtl'), '/user.js': user }

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

  const open = async (of, { path = '/plain', before, options } = {}) => {
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
  const read = await open('reader', { path: '/de-plain', options: { bypassCSP: true } })
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
      status: await new Promise((resolve) => {
        const status = host.shadowRoot.querySelector('[role=status]')
        const said = () => (status.textContent ? resolve(status.textContent) : setTimeout(said, 20))
        said()
      }),
      buttons: [...dialog.querySelectorAll('button')].map((button) => button.textContent),
      isLast: host === document.body.lastElementChild,
      isAtTheStart: left < innerWidth - right,
    }
  })
  await read.made.close()

  // Two tabs show it once; the second takes over when the first is closed.
  const tabs = await open('tabs')
  const second = await tabs.made.newPage()
  await second.goto(`${origin}/plain?user=tabs`)
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

  // Beside the element it is about: below it, after it as it is scrolled, above it where there is no room, at the corner when it is gone.
  for (const [of, path] of [
    ['anchored', '/en'],
    ['mirrored', '/de'],
  ]) {
    const { made, tab } = await open(of, { path })
    await tab.evaluate(() => (document.querySelector('main label').style.cssText = 'display: inline-block; margin-block: 300px 3000px; margin-inline-start: 200px'))
    await struggle(tab)
    await card(tab).waitFor()
    await tab.waitForTimeout(300)
    const rest = () =>
      tab.evaluate(async () => {
        // What follows does so by the next frame.
        for (let i = 0; i < 3; i++) await new Promise(requestAnimationFrame)
        const box = document.querySelector('journeymesh-help').shadowRoot.querySelector('[role=dialog]').getBoundingClientRect()
        const at = document.querySelector('main label')?.getBoundingClientRect()
        const { clientWidth } = document.documentElement
        const isSeen = box.top >= 0 && box.left >= 0 && box.bottom <= innerHeight && box.right <= clientWidth
        const side = !at ? 'corner' : box.top >= at.bottom ? 'below' : box.bottom <= at.top ? 'above' : 'over'
        const isAligned = !!at && (Math.abs(box.left - at.left) < 1 ? 'left' : Math.abs(box.right - at.right) < 1 && 'right')
        return { side, isSeen, isAligned, gap: at && Math.round(side === 'below' ? box.top - at.bottom : at.top - box.bottom) }
      })
    const places = { first: await rest() }
    await tab.evaluate(() => scrollBy(0, 150))
    places.scrolled = await rest()
    await tab.evaluate(() => scrollBy(0, -150))
    await tab.setViewportSize({ width: 1280, height: 480 })
    places.low = await rest()
    await tab.setViewportSize({ width: 400, height: 900 })
    places.narrow = await rest()
    await tab.evaluate(() => document.querySelector('h1').append(document.createElement('br'), 'more'))
    places.pushed = await rest()
    await tab.evaluate(() => scrollTo(0, 2000))
    places.away = await rest()
    await tab.evaluate(() => document.querySelector('main label').remove())
    places.gone = await rest()
    found[of] = places
    await made.close()
  }

  // In what is modal, where nothing else can be reached; and again in the page when that is closed, or the page is made anew.
  {
    const { made, tab } = await open('modal')
    await tab.evaluate(() => document.querySelector('dialog').showModal())
    await struggle(tab)
    await tab.getByRole('button', { name: 'Start live chat' }).waitFor()
    await tab.keyboard.press('F6')
    found.modal = [await focus(tab)]
    const parent = () => tab.evaluate(() => document.querySelector('journeymesh-help').parentNode.localName)
    found.modal.push(await parent())
    await tab.evaluate(() => document.querySelector('dialog').close())
    await until(async () => (await parent()) === 'body', 'the card is in the page')
    await tab.evaluate(() => document.body.replaceChildren())
    await tab.getByRole('button', { name: 'Start live chat' }).click()
    found.modal.push(...(await outcome('modal', 'accepted')))
    await made.close()
  }

  // Where the user chose the colours, everything can still be told apart.
  {
    const { made, tab } = await open('contrast', { options: { forcedColors: 'active' } })
    await struggle(tab)
    await card(tab).waitFor()
    await tab.keyboard.press('F6')
    found.contrast = await tab.evaluate(() => {
      const root = document.querySelector('journeymesh-help').shadowRoot
      const isForced = matchMedia('(forced-colors: active)').matches
      const edges = [...root.querySelectorAll('[role=dialog], button')].map((each) => {
        const { color, backgroundColor, borderTopColor, borderTopWidth } = getComputedStyle(each)
        return parseFloat(borderTopWidth) > 0 && borderTopColor !== backgroundColor && color !== backgroundColor
      })
      const { outlineStyle, outlineColor, backgroundColor } = getComputedStyle(root.activeElement)
      return { isForced, edges, hasFocusRing: outlineStyle === 'solid' && outlineColor !== backgroundColor }
    })
    await made.close()
  }

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
