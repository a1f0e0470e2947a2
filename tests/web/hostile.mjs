// Pages and users that make it hard: what a page holds, refuses, breaks and hides must neither stop the tracker nor be stopped by it.
import { context, gateway, get, scripts, site, told, until } from './browser.mjs'

const page = (body = '', before = '') => `<!doctype html><html lang="en"><title>Shop</title>
<script>window.journeymesh = [['identify', new URL(location).searchParams.get('user')]];${before}</script>${scripts}<main>${body}</main>`

const pages = {
  // Controls are members of their form, forms of the document, and elements of the window.
  '/members': page(`<form data-name="profile"><input name="id"><input name="matches"><input name="getAttribute"><input name="closest">
<input name="localName"><input name="textContent"><p id="inside">Some text in the form</p></form><form name="title"></form><form name="referrer"></form>`),
  '/named': `<!doctype html><title>Shop</title><div id="journeymesh"></div>${scripts}<script src="${gateway}/widget.js"></script>
<script>journeymesh.push(['identify', 'named'])</script>`,
  '/entered': page(`<div id="" role="textbox" contenteditable="true" tabindex="0" style="height: 40px"></div>
<div role="group" tabindex="0"><p id="beside">Note</p><div contenteditable="true">pin 4711</div><textarea>pin 4711</textarea></div>`),
  '/closed': page('<x-stepper></x-stepper>', `
    customElements.define('x-stepper', class extends HTMLElement {
      connectedCallback() {
        const root = this.attachShadow({ mode: 'closed' })
        root.innerHTML = '<button>More</button><output>1</output>'
        root.querySelector('button').onclick = () => root.querySelector('output').value++
      }
    })`),
  '/huge': page(`<section role="region" tabindex="0" id=""><p id="somewhere">Here</p>${'<p>word <b>word</b></p>'.repeat(40_000)}</section>`),
  '/plain': page('<button id="broken">Broken</button>'),
  '/helped': page(`</main><script src="${gateway}/widget.js"></script><main>`),
  '/other': '<!doctype html><title>other</title>',
  '/frame': `<!doctype html><title>frame</title><iframe sandbox="allow-scripts" srcdoc="${page().replaceAll('"', '&quot;').replace("new URL(location).searchParams.get('user')", "'frame'")}"></iframe>`,
}

await told(async (browser) => {
  const { origin, close } = await site(pages)
  const found = { faults: {} }
  const open = async (user, { path = `/${user}`, before, asked } = {}) => {
    const { made, faults } = await context(browser, { hosts: [new URL(origin).host] })
    found.faults[user] = faults
    if (before) await made.addInitScript(before)
    if (asked) await made.route('**/api/events/track', asked)
    const tab = await made.newPage()
    await tab.goto(`${origin}${path}?user=${user}`)
    return { made, tab }
  }
  const ready = (tab) =>
    tab.waitForFunction(() => performance.getEntriesByType('resource').filter(({ name, responseEnd }) => /\/t\/\w+\.js/.test(name) && responseEnd).length === 2)
  const has = (kind) => (all) => all.some(({ eventType }) => eventType === kind)
  const events = (user, holds, ms) =>
    until(async () => {
      const all = ((await get(`/api/users/${user}/events`))?.events ?? []).filter((event) => !event.copiedEventId).reverse()
      return holds(all) && all
    }, `events of ${user}`, ms)
  const clicks = (all) => all.filter(({ eventType }) => eventType === 'click').map(({ properties }) => properties)
  /** Clicks by the mouse itself, at the middle of an element. */
  const click = async (tab, selector, times = 1) => {
    await ready(tab)
    await tab.waitForTimeout(1200)
    const { x, y, width, height } = await tab.locator(selector).boundingBox()
    for (let i = 0; i < times; i++) {
      await tab.mouse.click(x + Math.min(width, 40) / 2, y + Math.min(height, 20) / 2)
      await tab.waitForTimeout(150)
    }
    await tab.waitForTimeout(2800)
  }

  // Names of controls and forms hide members of forms and of the document.
  {
    const { made, tab } = await open('members')
    await click(tab, '#inside')
    await tab.evaluate(() => journeymesh.page())
    await tab.evaluate(() => journeymesh.track('session_end'))
    const all = await events('members', has('session_end'))
    found.members = { clicks: clicks(all).map(({ element }) => element), titles: all.filter(({ eventType }) => eventType === 'page_view').map(({ properties }) => properties.title ?? null) }
    await made.close()
  }
  {
    const { made } = await open('named')
    found.named = (await events('named', has('identify'))).length > 0
    await made.close()
  }

  // What was entered is told nowhere, however it was entered.
  {
    const { made, tab } = await open('entered')
    await tab.locator('[role=textbox]').fill('pin 4711')
    await click(tab, '[role=textbox]')
    await click(tab, '#beside')
    await tab.evaluate(() => journeymesh.track('session_end'))
    const all = await events('entered', has('session_end'))
    found.entered = { elements: clicks(all).map(({ element }) => element), isTold: JSON.stringify(all).includes('4711') }
    await made.close()
  }

  // A component that nobody can look into works.
  {
    const { made, tab } = await open('closed')
    await click(tab, 'x-stepper', 4)
    await tab.evaluate(() => journeymesh.track('session_end'))
    const all = await events('closed', has('session_end'))
    found.closed = clicks(all).filter(({ effectObserved }) => !effectObserved).length
    await made.close()
  }

  // In a page of a hundred thousand elements a click is named by its first words.
  {
    const { made, tab } = await open('huge')
    await tab.evaluate(() => {
      const original = Object.getOwnPropertyDescriptor(Node.prototype, 'textContent')
      globalThis.longest = 0
      Object.defineProperty(Node.prototype, 'textContent', { ...original, get() {
        const text = original.get.call(this)
        globalThis.longest = Math.max(globalThis.longest, text?.length ?? 0)
        return text
      } })
    })
    await click(tab, '#somewhere')
    found.huge = { longest: await tab.evaluate(() => globalThis.longest), element: clicks(await events('huge', has('click')))[0].element }
    await made.close()
  }

  // Storage that is refused, silent, full, broken or deleted while the page is there: what happens is sent all the same.
  const storages = {
    refused: () => {
      Object.defineProperty(globalThis, 'localStorage', { get() { throw new DOMException('', 'SecurityError') } })
      Object.defineProperty(globalThis, 'indexedDB', { get() { throw new DOMException('', 'SecurityError') } })
      if (globalThis.LockManager) LockManager.prototype.request = () => Promise.reject(new DOMException('', 'SecurityError'))
    },
    silent: () => (IDBFactory.prototype.open = () => ({})),
    full: () => {
      const refuse = () => { throw new DOMException('', 'QuotaExceededError') }
      IDBObjectStore.prototype.put = refuse
      Storage.prototype.setItem = refuse
      if (location.protocol === 'http:') Object.defineProperty(globalThis, 'localStorage', { value: new Proxy(localStorage, { set: refuse, get: (target, name) => (typeof target[name] === 'function' ? target[name].bind(target) : target[name]) }) })
    },
    broken: () => {
      const transaction = IDBDatabase.prototype.transaction
      addEventListener('break', () => (IDBDatabase.prototype.transaction = () => { throw new DOMException('', 'InvalidStateError') }))
      addEventListener('mend', () => (IDBDatabase.prototype.transaction = transaction))
    },
    immovable: () => {
      IDBObjectStore.prototype.delete = () => { throw new DOMException('', 'QuotaExceededError') }
    },
  }
  found.storages = {}
  for (const [user, before] of Object.entries(storages)) {
    let requests = 0
    const { made, tab } = await open(user, { path: '/plain', before })
    tab.on('request', (request) => (requests += request.url().includes('/api/events')))
    await tab.evaluate(() => dispatchEvent(new Event('break')))
    for (let i = 0; i < 3; i++) await tab.evaluate((value) => void journeymesh.track('help_request', { value }), i)
    const all = await events(user, (all) => all.filter(({ eventType }) => eventType === 'help_request').length >= 3)
    await tab.waitForTimeout(2000)
    found.storages[user] = { values: all.filter(({ eventType }) => eventType === 'help_request').map(({ properties }) => properties.value), isCalm: requests < 10 }
    await made.close()
  }
  {
    const { made, tab } = await open('deleted', { path: '/plain' })
    await events('deleted', has('page_view'))
    found.deleted = await tab.evaluate(
      () =>
        new Promise((resolve) => {
          const asked = indexedDB.deleteDatabase('journeymesh')
          asked.onsuccess = () => resolve('deleted')
          setTimeout(resolve, 3000, 'blocked')
        }),
    )
    await tab.evaluate(() => journeymesh.track('help_request'))
    await events('deleted', has('help_request'))
    await made.close()
  }

  // A frame without an origin of its own has neither storage nor locks.
  {
    const { made } = await open('frame')
    found.frame = (await events('frame', has('page_view'))).length > 0
    await made.close()
  }

  // Whoever goes back finds the page as it was, with help that waits, and tracked on.
  {
    const path = '/helped'
    const { made, tab } = await open('back', { path })
    await tab.evaluate(async () => {
      for (let i = 0; i < 3; i++) await journeymesh.track('task_failure', { task: 'search' })
    })
    const card = tab.getByRole('dialog')
    await card.waitFor()
    await tab.evaluate(() => addEventListener('pageshow', ({ persisted }) => (globalThis.isBack = persisted)))
    await tab.goto(`${origin}/other`)
    await tab.goBack({ waitUntil: 'commit' })
    found.back = { isBack: await tab.evaluate(() => globalThis.isBack ?? JSON.stringify(performance.getEntriesByType('navigation')[0].notRestoredReasons)) }
    await card.waitFor()
    await tab.evaluate(() => journeymesh.track('help_request'))
    const all = await events('back', has('help_request'))
    found.back.views = all.filter(({ eventType }) => eventType === 'page_view').map(({ properties }) => properties.page.split('?')[0])
    await made.close()
  }

  // A page that tracks ten thousand times in a loop: kept are the newest thousand, and the page is not held up.
  {
    const { made, tab } = await open('flood', { path: '/plain', asked: (route) => route.abort() })
    await events('none', () => true)
    found.flood = await tab.evaluate(async () => {
      const began = performance.now()
      await Promise.all(Array.from({ length: 10_000 }, (_, value) => journeymesh.track('feature_interaction', { feature: 'flood', value })))
      const seconds = (performance.now() - began) / 1000
      const database = await new Promise((resolve) => (indexedDB.open('journeymesh').onsuccess = ({ target }) => resolve(target.result)))
      const count = () => new Promise((resolve) => (database.transaction('journeymesh').objectStore('journeymesh').count().onsuccess = ({ target }) => resolve(target.result)))
      for (let i = 0; i < 100 && (await count()) > 1100; i++) await new Promise((resolve) => setTimeout(resolve, 100))
      return { seconds, stored: await count() }
    })
    found.faults.flood = []
    await made.close()
  }

  // The clock jumps while the page is there, as after a machine slept.
  {
    const { made, tab } = await open('clock', { path: '/plain' })
    await ready(tab)
    await tab.evaluate(() => {
      const Own = Date
      globalThis.Date = class extends Own {
        constructor(...all) {
          super(...(all.length ? all : [Own.now() + 600_000]))
        }
        static now() {
          return Own.now() + 600_000
        }
      }
    })
    const sent = tab.waitForRequest((request) => request.url().includes('/api/events') && request.postData().includes('"click"'))
    await click(tab, '#broken')
    const { timestamp, sentAt } = JSON.parse((await sent).postData()).events.find(({ eventType }) => eventType === 'click')
    found.clock = (Date.parse(sentAt) - Date.parse(timestamp)) / 1000
    await made.close()
  }

  // Answers that are none: a login to the network, silence, a pause without end. Nothing is lost, and nothing is asked in a hurry.
  const answers = {
    portal: (route) => route.fulfill({ status: 200, contentType: 'text/html', headers: { 'access-control-allow-origin': '*' }, body: '<h1>Log in</h1>' }),
    silence: () => {},
    pause: (route) => route.fulfill({ status: 503, headers: { 'access-control-allow-origin': '*', 'access-control-expose-headers': 'retry-after', 'retry-after': '99999999' }, body: '' }),
  }
  found.answers = {}
  for (const [user, answer] of Object.entries(answers)) {
    let isOdd = true
    let requests = 0
    const asked = (route) => {
      requests++
      return isOdd ? answer(route) : route.continue()
    }
    const before = () => {
      const { timeout } = AbortSignal
      AbortSignal.timeout = (ms) => timeout.call(AbortSignal, ms / 20)
      globalThis.timers = 0
      const own = setTimeout
      globalThis.setTimeout = (...all) => (globalThis.timers++, own(...all))
    }
    const { made, tab } = await open(user, { path: '/plain', before, asked })
    await tab.waitForTimeout(5000)
    const early = { isCalm: requests < 5, areTimersFew: (await tab.evaluate(() => globalThis.timers)) < 100 }
    isOdd = false
    if (user === 'pause') await tab.goto(`${origin}/plain?user=${user}`)
    await events(user, has('page_view'), 40_000)
    found.answers[user] = early
    found.faults[user] = []
    await made.close()
  }
  close()
  return found
}, { ignoreDefaultArgs: ['--disable-back-forward-cache'] })
