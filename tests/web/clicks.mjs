// Clicks on things that work, and on things that do not: each fixture is a user, in a tab of its own.
import { asked, context, get, gateway, site, told, until } from './browser.mjs'

const page = `<!doctype html><html lang="en"><title>fixtures</title>
<script>window.journeymesh = [['identify', new URL(location).searchParams.get('user')]]</script>
<script src="${gateway}/t.js"></script>
<style>.div { cursor: pointer } section { margin: 1em }</style>
<p id="clock"></p><p id="text">Some words that somebody selects with a double click.</p>
<button id="toggle" aria-pressed="false">Dark</button>
<button id="heart" class="off">♥</button>
<section id="carousel"><img alt="" width="9" height="9"><button id="next">›</button></section>
<section><button id="less">−</button><output id="amount">1</output><button id="more">+</button></section>
<table><tr><td><button class="day" aria-selected="false">1</button><td><button class="day" aria-selected="false">2</button><td><button class="day" aria-selected="false">3</button></table>
<a id="tab" href="/other" target="_blank">In a new tab</a> <a id="download" href="/file.txt" download>A file</a> <button id="saves">Save as</button>
<label id="label">Agree <input type="checkbox" id="box"></label> <input id="field" value="words"> <select id="choice"><option>a</select>
<details><summary id="summary">More</summary>words</details> <a id="anchor" href="#far">Down</a> <button id="opens">Open</button>
<button id="slow">Slow</button> <a id="link" href="/other">Another page</a> <button id="leaves">Leave</button> <button id="focuses">Search</button>
<video id="player" controls width="200"></video> <canvas id="board" width="40" height="40"></canvas>
<div id="host"></div> <dialog id="dialog">Hello</dialog> <button id="prints">Print</button>
<button id="broken">Broken</button> <div class="div" id="broken-div">Broken</div> <a id="broken-link" href="#">Broken</a> <span id="broken-span">Looks as if</span>
<button id="throws">Fails</button> <div id="broken-host"></div> <button id="broken-beside-clock">Broken</button> <button id="brings-help">Broken</button>
<p id="far" style="margin-top: 3000px">far</p>
<script>
const at = (id) => document.getElementById(id)
const on = (id, act) => at(id).addEventListener('click', act)
on('toggle', ({ target }) => target.setAttribute('aria-pressed', target.getAttribute('aria-pressed') === 'false'))
on('heart', ({ target }) => target.classList.toggle('off'))
let shown = 0
on('next', () => setTimeout(() => (document.querySelector('#carousel img').alt = 'picture ' + ++shown), 300))
on('more', () => at('amount').value++)
on('less', () => at('amount').value--)
for (const day of document.querySelectorAll('.day')) day.onclick = () => {
  for (const other of document.querySelectorAll('.day')) other.setAttribute('aria-selected', other === day)
}
on('saves', () => Object.assign(document.createElement('a'), { href: '/file.txt', download: '' }).click())
on('opens', () => at('dialog').show())
on('slow', ({ target }) => setTimeout(() => target.textContent += '.', 1500))
on('leaves', () => setTimeout(() => (location.href = '/slow'), 800))
on('focuses', () => at('field').focus())
on('throws', () => undefined.member)
on('prints', () => dispatchEvent(new Event('beforeprint')))
const root = at('host').attachShadow({ mode: 'open' })
root.innerHTML = '<button id="inner">Inside</button><p></p>'
root.querySelector('button').onclick = () => (root.querySelector('p').textContent += '.')
const broken = at('broken-host').attachShadow({ mode: 'open' })
broken.innerHTML = '<button id="inner-broken">Inside</button>'
// Help that comes is no effect.
on('brings-help', () => setTimeout(() => {
  const card = document.createElement('journeymesh-help')
  card.popover = 'manual'
  document.body.append(card)
  card.showPopover()
  card.style.inset = '9px'
}, 500))
// Something always moves.
setInterval(() => (at('clock').textContent = new Date().toISOString()), 200)
</script>`

const three = { clicks: 3, pause: 150 }
const works = {
  toggle: three, heart: three, next: three, more: { clicks: 6, pause: 120 }, less: three, 'day:2': three, tab: three, download: three, saves: three,
  label: three, field: three, choice: three, summary: three, anchor: { clicks: 1 }, opens: { clicks: 1 }, slow: { clicks: 1 }, link: { clicks: 1 },
  leaves: { clicks: 1 }, focuses: { clicks: 1 }, player: three, board: three, inner: three, prints: { clicks: 1 }, text: { double: true }, 'broken-span': { clicks: 1 },
}
const fails = { broken: three, 'broken-div': three, 'broken-link': three, 'broken-span': three, throws: three, 'inner-broken': three, 'broken-beside-clock': { clicks: 3, pause: 210 }, 'broken-once': { clicks: 1, on: 'broken' }, 'brings-help': { clicks: 1 } }

const pages = { '/': page, '/other': '<title>other</title>', '/file.txt': 'words', '/slow': '<title>slow</title>' }

await told(async (browser) => {
  const { origin, close } = await site(pages)
  const found = {}
  const play = async ([name, { clicks = 0, pause = 0, double, on }], kind) => {
    const user = `${kind}-${name.replace(':', '-')}`
    const { made } = await context(browser, { acceptDownloads: true })
    const tab = await made.newPage()
    await tab.goto(`${origin}/?user=${user}`)
    const [id, index] = (on ?? name).split(':')
    const target = index ? tab.locator(`.${id}`).nth(Number(index)) : tab.locator(`#${id}`)
    // A page has been there for a while before somebody clicks.
    await target.scrollIntoViewIfNeeded()
    await tab.waitForTimeout(1500)
    if (double) for (let i = 0; i < 3; i++) await target.dblclick({ position: { x: 20, y: 5 } })
    // By the mouse itself: a driver that looks for the element each time is slower than somebody in a rage.
    const { x, y, width, height } = await target.boundingBox()
    await tab.mouse.move(x + width / 2, y + height / 2)
    for (let i = 0; i < clicks; i++) {
      await tab.mouse.down()
      await tab.mouse.up()
      await new Promise((resolve) => setTimeout(resolve, pause))
    }
    await tab.waitForTimeout(3200)
    await tab.evaluate(() => window.journeymesh?.track?.('session_end')).catch(() => {})
    await tab.goto(`${origin}/?user=${user}&again`).catch(() => {})
    const events = await until(async () => {
      const all = (await get(`/api/users/${user}/events`))?.events ?? []
      const isSeen = all.some((event) => event.eventType === 'page_view' && event.properties.page.endsWith('again'))
      return isSeen && all
    }, `events of ${user}`)
    const { signals } = await get(`/api/users/${user}/risk`)
    const kept = events.filter((event) => event.eventType === 'click').map(({ properties }) => properties)
    found[user] = { signals: signals.map(({ signal }) => signal.type), clicks: kept }
    await made.close()
  }
  const stories = [...Object.entries(works).map((story) => [story, 'works']), ...Object.entries(fails).map((story) => [story, 'fails'])]
  while (stories.length) await Promise.all(stories.splice(0, asked.beside ?? 4).map(([story, kind]) => play(story, kind)))
  close()
  return found
})
