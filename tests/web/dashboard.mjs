// The dashboard as people meet it: every page, by eye, by keyboard and by screen reader.
import { readFile } from 'node:fs/promises'
import { asked, context, gateway, get, require, told, until } from './browser.mjs'

const RULES = ['wcag2a', 'wcag2aa', 'wcag21a', 'wcag21aa', 'wcag22aa', 'best-practice']

const answered = (tab) => until(() => tab.evaluate(() => document.querySelector('h1') && !document.querySelector('.waiting')), 'all questions are answered')

/** The words in cells of tables that stand on more than one line; not those that are longer than a cell may be. */
const broken = () => {
  const found = []
  for (const cell of document.querySelectorAll('th, td')) {
    const texts = document.createTreeWalker(cell, NodeFilter.SHOW_TEXT)
    while (texts.nextNode()) {
      for (const { index, 0: word } of texts.currentNode.data.matchAll(/[\p{L}\p{N}_]{2,30}/gu)) {
        const range = new Range()
        range.setStart(texts.currentNode, index)
        range.setEnd(texts.currentNode, index + word.length)
        if (new Set([...range.getClientRects()].map(({ top }) => top)).size > 1) found.push(word)
      }
    }
  }
  return found
}

const stories = {
  /** Each page, narrow: what goes wrong, how far it reaches beyond the window, and which words of tables are broken. */
  async pages(browser) {
    const { made, faults } = await context(browser, { viewport: { width: 320, height: 800 } })
    const found = {}
    for (const path of asked.paths) {
      const tab = await made.newPage()
      await tab.goto(gateway + path)
      await answered(tab)
      const page = await tab.evaluate(() => ({
        title: document.title,
        heading: document.querySelector('h1').textContent,
        overflow: document.documentElement.scrollWidth - innerWidth,
        troubles: document.querySelectorAll('[role=alert], .stale').length,
        cells: document.querySelectorAll('td').length,
      }))
      found[path] = { ...page, broken: await tab.evaluate(broken) }
      await tab.close()
    }
    return { found, faults }
  },

  /** Each page: what axe-core finds, light and dark. It writes markup itself, so the policy is off. */
  async axe(browser) {
    const axe = await readFile(require.resolve('axe-core/axe.min.js'), 'utf8')
    const found = []
    for (const colorScheme of ['light', 'dark']) {
      const { made } = await context(browser, { colorScheme, bypassCSP: true, reducedMotion: 'reduce' })
      for (const path of asked.paths) {
        const tab = await made.newPage()
        await tab.goto(gateway + path)
        await answered(tab)
        await tab.evaluate(() => document.querySelectorAll('details').forEach((each) => (each.open = true)))
        await tab.evaluate(axe)
        const violations = await tab.evaluate(async (values) => (await axe.run(document, { runOnly: { type: 'tag', values } })).violations.map(({ id, nodes }) => `${id}: ${nodes[0].html}`), RULES)
        found.push(...violations.map((violation) => `${path} ${colorScheme} ${violation}`))
        await tab.close()
      }
      await made.close()
    }
    return found
  },

  /** The figures of the first page, as they are read. */
  async figures(browser) {
    const { made, faults } = await context(browser)
    const tab = await made.newPage()
    await tab.goto(`${gateway}/app`)
    await answered(tab)
    const tiles = await tab.evaluate(() => Object.fromEntries([...document.querySelectorAll('[data-kpi]')].map((tile) => [tile.dataset.kpi, tile.querySelector('dd').textContent])))
    return { tiles, faults }
  },

  /** What happens while the first page is open: how soon the first line is there, and what the lines say. */
  async live(browser) {
    const { made, faults } = await context(browser)
    const tab = await made.newPage()
    await tab.goto(`${gateway}/app`)
    await answered(tab)
    await tab.getByText('Nothing has happened since').waitFor()
    const lines = () => tab.locator('.happening li').allInnerTexts()
    const said = async (word) => (await lines()).find((line) => line.includes(word))
    const post = (path, body) => fetch(gateway + path, { method: 'POST', headers: { 'content-type': 'application/json' }, body: JSON.stringify(body) })
    const began = Date.now()
    await post('/api/events/track', { events: asked.events })
    await tab.locator('.happening li').first().waitFor()
    const seconds = (Date.now() - began) / 1000
    await until(() => said('Help offered'), 'help is offered')
    const user = (await said('Help offered')).match(/ada-\d/)[0]
    const { intervention } = await get(`/api/interventions/${user}/pending`)
    await post(`/api/interventions/${intervention.id}/outcome`, { outcome: 'accepted' })
    await until(() => said('Help accepted'), 'its outcome is told')
    const risks = await tab.locator('table', { hasText: 'Users at risk' }).innerText()
    await tab.getByRole('button', { name: 'Pause' }).click()
    return { seconds, lines: await lines(), risks, user, faults }
  },

  /** The first page where nothing can be pushed. */
  async asking(browser) {
    const { made } = await context(browser)
    const tab = await made.newPage()
    await tab.route('**/api/happenings/stream', (route) => route.abort())
    await tab.goto(`${gateway}/app`)
    await answered(tab)
    return tab.locator('main').innerText()
  },

  /** What the model's card says: each shape function as a table, and the shares of its figures. */
  async model(browser) {
    const { made, faults } = await context(browser)
    const tab = await made.newPage()
    await tab.goto(`${gateway}/app/model`)
    await answered(tab)
    const tables = tab.getByRole('button', { name: /View as table/ })
    for (let index = 0; index < (await tables.count()); index++) await tables.nth(index).click()
    const shapes = await tab.locator('.prose figure').evaluateAll((all) => all.map((each) => [...each.querySelectorAll('tbody tr')].map((row) => [...row.children].map((cell) => cell.textContent))))
    return { shapes, text: await tab.locator('main').innerText(), faults }
  },

  /** Whether the model's predictions came true, as tables; and what is said before anything is known. */
  async calibration(browser) {
    const { made, faults } = await context(browser)
    const tab = await made.newPage()
    await tab.goto(`${gateway}/app/model?silent=1&days=30`)
    await answered(tab)
    const table = async (name) => {
      await tab.getByRole('button', { name: `View as table: ${name}` }).click()
      return tab.getByRole('table', { name }).locator('tbody tr').evaluateAll((rows) => rows.map((row) => [...row.children].map((cell) => cell.textContent)))
    }
    const reliability = await table('Reliability')
    const weeks = await table('Came true less predicted')
    const text = await tab.locator('main').innerText()
    await tab.goto(`${gateway}/app/model?silent=30`)
    await answered(tab)
    const early = await tab.locator('main').innerText()
    // What a model would tell that has learned here; the mesh's own has not.
    const changed = async (members, toldOf) => {
      await tab.route('**/api/analytics/calibration', async (route) => {
        const response = await route.fetch()
        const answer = await response.json()
        const spans = answer.spans.map((span) => ({ ...span, toldCount: toldOf(span.knownCount) }))
        await route.fulfill({ response, json: { ...answer, ...members, spans } })
      })
      await tab.goto(`${gateway}/app/model?silent=1&days=30`)
      await answered(tab)
      await tab.unroute('**/api/analytics/calibration')
      return tab.locator('main').innerText()
    }
    const outcome = 'no event for 1 day, at events'
    const told = await changed({ outcome }, (count) => Math.max(0, count - 2))
    const other = await changed({ outcome: 'never returns', isOtherOutcome: true }, () => 0)
    return { reliability, weeks, text, early, told, other, faults }
  },

  /** What moved since the day before, as a table; none if too little is known. */
  async moved(browser) {
    const { made, faults } = await context(browser)
    const tab = await made.newPage()
    await tab.goto(`${gateway}/app/model?days=1`)
    await answered(tab)
    const text = await tab.locator('main').innerText()
    const button = tab.getByRole('button', { name: 'View as table: Reasons' })
    if (await button.count()) await button.click()
    const reasons = await tab.getByRole('table', { name: 'Reasons' }).locator('tbody tr').evaluateAll((rows) => rows.map((row) => [...row.children].map((cell) => cell.textContent)))
    return { reasons, text, faults }
  },

  /** The incidents of key figures, each hour of the first one's first figure as a table, and what is said where there is nothing. */
  async insights(browser) {
    const { made, faults } = await context(browser)
    const tab = await made.newPage()
    await tab.goto(`${gateway}/app/insights?where=page:is:/news`)
    await answered(tab)
    const text = await tab.locator('main').innerText()
    const titles = await tab.locator('main h2').allInnerTexts()
    const charts = await tab.locator('svg.unusual').count()
    await tab.getByRole('button', { name: /View as table: Users/ }).click()
    const rows = await tab.getByRole('table', { name: /Users from/ }).locator('tbody tr').evaluateAll((all) => all.map((row) => [...row.children].map((cell) => cell.textContent)))
    await tab.goto(`${gateway}/app/insights?where=page:is:/nowhere`)
    await answered(tab)
    const nothing = await tab.locator('main').innerText()
    await made.route('**/api/analytics/insights', (route) => route.fulfill({ status: 503, contentType: 'application/problem+json', body: '{"title":"Away","status":503,"detail":"The files cannot be read.","reason":"DEPENDENCY_UNAVAILABLE"}' }))
    await tab.goto(`${gateway}/app/insights`)
    await answered(tab)
    return { text, titles, charts, rows, nothing, trouble: await tab.getByRole('alert').innerText(), faults }
  },

  /** An experiment as it runs, its differences as a table, and after it was paused by hand. */
  async experiments(browser) {
    const { made, faults } = await context(browser)
    const tab = await made.newPage()
    await tab.goto(`${gateway}/app/experiments`)
    await answered(tab)
    await tab.getByRole('link', { name: asked.experiment }).click()
    await until(() => tab.getByRole('button', { name: 'Pause' }).count(), 'it is shown')
    await until(() => tab.locator('svg.interval').count(), 'its differences are shown')
    const intervals = await tab.locator('svg.interval').count()
    const running = await tab.locator('main').innerText()
    await tab.getByRole('button', { name: 'View as table: Differences' }).click()
    const rows = await tab.getByRole('table', { name: 'Differences' }).locator('tbody tr').evaluateAll((all) => all.map((row) => [...row.children].map((cell) => cell.textContent)))
    await tab.getByLabel('Why').fill('a look at the logs')
    await tab.getByRole('button', { name: 'Pause' }).click()
    await until(() => tab.getByRole('button', { name: 'Start' }).count(), 'it is paused')
    const history = await tab.getByRole('table', { name: 'History' }).locator('tbody tr').first().innerText()
    return { intervals, running, rows, history, faults }
  },

  /** The documents that an experiment compares. */
  async compared(browser) {
    const { made, faults } = await context(browser)
    const tab = await made.newPage()
    await tab.goto(`${gateway}/app/experiments?experiment=${asked.experiment}`)
    await answered(tab)
    await tab.getByRole('heading', { name: 'Prompts that are compared' }).waitFor()
    const row = tab.getByRole('table', { name: 'Experiments' }).locator('tbody tr', { hasText: asked.experiment })
    const compares = await row.locator('td').nth(1).innerText()
    for (const each of await tab.locator('main details summary').all()) await each.click()
    const texts = await tab.locator('main details pre').allInnerTexts()
    const alert = await tab.getByRole('alert').innerText()
    return { compares, texts, alert, faults }
  },

  /** A job that is started by hand and ends, and one that goes on until it is cancelled. */
  async jobs(browser) {
    const { made, faults } = await context(browser)
    const tab = await made.newPage()
    await tab.goto(`${gateway}/app/pipeline`)
    await answered(tab)
    await tab.getByRole('button', { name: 'Start customers fit' }).click()
    const table = tab.getByRole('table', { name: 'Jobs, newest first' })
    await table.getByText('Failed').waitFor({ timeout: 120_000 })
    const ended = await table.locator('tbody tr').first().innerText()
    const running = { jobId: 'j-1', kind: 'customers_fit', state: 'running', step: 'reading', progress: 0.25, createdTime: '2026-01-02T10:00:00Z', reason: '', detail: '', counts: {} }
    const asked = []
    await made.route('**/api/jobs**', (route) => {
      if (route.request().method() === 'POST') asked.push(new URL(route.request().url()).pathname)
      return route.fulfill({ json: asked.length ? { jobs: [{ ...running, state: 'cancelled' }] } : { jobs: [running] } })
    })
    await table.getByText('25% reading').waitFor()
    await table.getByRole('button', { name: 'Cancel' }).click()
    await table.getByText('Cancelled').waitFor()
    await made.unrouteAll()
    const done = (jobId, kind, more = {}) => ({ ...running, jobId, kind, state: 'done', counts: { customers: 40 }, ...more })
    const model = { modelVersion: 'shop-1', isLive: false, gate: 'not_compared' }
    await made.route('**/api/jobs', (route) => route.fulfill({
      json: { jobs: [done('j-4', 'model_training', { model }), done('j-3', 'customers_export'), done('j-2', 'customers_export')] },
    }))
    await table.getByText('shop-1 is a candidate; gate: not compared').waitFor()
    const files = await table.getByRole('link', { name: 'Download' }).evaluateAll((links) => links.map((link) => link.getAttribute('href')))
    const training = tab.getByRole('button', { name: 'Start model training' })
    const started = []
    await made.unrouteAll()
    await made.route('**/api/jobs', (route) => {
      if (route.request().method() === 'POST') started.push(route.request().postDataJSON())
      return route.fulfill({ json: { jobs: started.length ? [{ ...running, kind: 'model_training' }] : [] } })
    })
    await tab.getByText('No job was started yet.').waitFor()
    await training.click()
    await table.getByText('Model training').waitFor()
    await made.unrouteAll()
    const detail = 'What `model_training` needs is not installed here.'
    await made.route('**/api/jobs', (route) => route.fulfill({
      json: { jobs: [], refusedKinds: [{ kind: 'model_training', reason: 'JOB_KIND_NOT_AVAILABLE', detail }] },
    }))
    await tab.getByText(detail).waitFor()
    const why = await tab.locator(`#${await training.getAttribute('aria-describedby')}`).innerText()
    const buttons = await tab.getByRole('button', { name: 'Start' }).evaluateAll((all) => all.map((each) => [each.innerText, each.disabled]))
    return { ended, asked, files, started, why, buttons, faults }
  },

  /** What the watch tells: an incident that is pushed, what its buttons ask for, and the tile of the first page. */
  async watched(browser) {
    const { made, faults } = await context(browser)
    const part = { metric: 'users', opened: '2026-01-02T09:00:00Z', closed: null, direction: 'below', peak: '2026-01-02T09:00:00Z', observed: 5, expected: 50, lower: 40, upper: 60, distance: 9, points: [] }
    const incident = { insightId: '20260102T0900-users', opened: part.opened, closed: null, severity: 'high', affectedUserHours: 45, parts: [part], acknowledged: null, snoozedUntil: null, snoozeReason: '', slices: [], missingMoney: [], changes: [] }
    const explained = {
      ...incident,
      slices: [{ metric: 'users', field: 'page', value: '/pay', secondField: 'platform', secondValue: 'mobile', observed: 5, expected: 45, contribution: 0.9, surprise: 0.2 }],
      missingMoney: [{ currency: 'EUR', amount: 1200 }],
      changes: [{ time: '2026-01-02T08:50:00Z', kind: 'deploy', name: 'web 1.2.3', detail: '', by: '' }],
    }
    const alarm = { alarmId: '20260102-80-of-5.0', day: '2026-01-02T00:00:00Z', percent: 80, dailyUsd: 5, usedUsd: 4.25, found: new Date().toISOString() }
    const asked = []
    let told = incident
    await made.route('**/api/insights/**', (route) => {
      const url = new URL(route.request().url()).pathname
      if (url.endsWith('/stream')) return route.fulfill({ contentType: 'text/event-stream', body: `event: incidents\ndata: ${JSON.stringify({ isSnapshot: true, incidents: [told], budgetAlarms: [alarm] })}\n\n` })
      asked.push([url, route.request().postDataJSON()?.reason ?? null])
      return route.fulfill({ json: incident })
    })
    const tab = await made.newPage()
    tab.on('dialog', (dialog) => dialog.accept('a release'))
    await tab.goto(`${gateway}/app/insights`)
    const table = tab.getByRole('table', { name: 'Incidents that are open or not seen' })
    await table.waitFor()
    const row = await table.locator('tbody tr').evaluate((one) => [...one.children].slice(1, 4).map((cell) => cell.textContent))
    const budget = await tab.getByRole('status', { name: 'Budgets' }).innerText()
    await tab.getByRole('button', { name: 'Seen' }).click()
    await tab.getByRole('button', { name: 'Snooze a day' }).click()
    await until(() => asked.length === 2, 'both buttons ask')
    told = { ...explained, acknowledged: part.opened }
    await made.route('**/api/analytics/insights', (route) =>
      route.fulfill({ json: { incidents: [incident], totalCount: 1, metrics: [], knownSince: part.opened, neededDays: 0, receipt: { question: '{}', start: part.opened, end: part.opened, dataVersion: '', watermark: part.opened, isUnfinished: false, isCut: false, rowCount: 1, sha256: '' } } }),
    )
    await tab.goto(`${gateway}/app/insights`)
    const slice = await tab.getByRole('table', { name: 'What explains it' }).locator('tbody tr').innerText()
    const change = await tab.getByRole('table', { name: 'What changed in the two hours before' }).locator('tbody tr').innerText()
    const missing = await tab.getByText('About 1,200 EUR is missing.').count()
    await tab.goto(`${gateway}/app`)
    await answered(tab)
    const tile = tab.locator('[data-kpi=open_incidents]')
    await until(async () => (await tile.innerText()).includes('1'), 'the tile')
    return { row, asked, slice, change, missing, budget, tile: await tile.innerText(), faults }
  },

  /** The form of the budget: set by keyboard alone, refused by the gateway, and removed. */
  async budget(browser) {
    const { made, faults } = await context(browser)
    const tab = await made.newPage()
    await tab.goto(`${gateway}/app/help`)
    const input = tab.getByLabel('Your budget for a day, in US dollars')
    await input.waitFor()
    const none = await tab.getByText('There is no budget.').count()
    await input.fill('0')
    await input.press('Enter')
    const isRefused = await input.evaluate((one) => !one.validity.valid)
    await input.fill('2.5')
    await input.press('Enter')
    await tab.getByText('Your budget is set.').waitFor()
    await tab.getByText('you set $2.5').waitFor()
    await tab.getByText('A day may cost $2.5;').waitFor()
    const limit = await tab.getByText('A day may cost $2.5;').count()
    await made.route('**/api/analytics/budget', (route) => (route.request().method() === 'POST' ? route.fulfill({ status: 403, contentType: 'application/problem+json', body: '{"title":"Forbidden","status":403,"detail":"The key may not operate.","reason":"SCOPE_MISSING"}' }) : route.continue()))
    await input.fill('3')
    await tab.getByRole('button', { name: 'Set', exact: true }).click()
    const refusal = await tab.getByRole('alert').innerText()
    await made.unroute('**/api/analytics/budget')
    await tab.getByRole('button', { name: 'Remove' }).click()
    await tab.getByText('Your budget is removed.').waitFor()
    await tab.getByText('There is no budget.').waitFor()
    return { none, isRefused, limit, refusal, faults }
  },

  /** What another policy would have done, from the time line of one user. */
  async another(browser) {
    const { made, faults } = await context(browser)
    const tab = await made.newPage()
    await tab.goto(`${gateway}/app/journeys?user=${asked.user}`)
    await answered(tab)
    const cameOf = await tab.locator('.came-of').allInnerTexts()
    await tab.locator('.decided > details > summary').first().click()
    await tab.getByText('What would another policy have done?').first().click()
    const form = tab.locator('form').first()
    const policy = form.locator('textarea')
    await policy.waitFor()
    const document = await policy.inputValue()
    const derive = async (text, expected) => {
      await policy.fill(text)
      await policy.press('Tab')
      await tab.keyboard.press('Enter')
      await until(async () => (await form.locator('[role=status]').innerText()).includes(expected), expected)
      return form.locator('[role=status]').innerText()
    }
    const never = await derive(document.replace(/strong_signals: \d+/, 'strong_signals: 100').replace(/score: 75/, 'score: 100'), 'It would not have helped')
    const same = await derive(document, 'It would have offered help')
    const wrong = await derive('trigger: {score: 500}', 'no policy')
    return { never, same, wrong, cameOf, faults }
  },

  /** From the first page to a funnel as a table, without a mouse. */
  async keyboard(browser) {
    const { made, faults } = await context(browser)
    const tab = await made.newPage()
    await tab.goto(`${gateway}/app`)
    await answered(tab)
    const focused = () => tab.evaluate(() => document.activeElement.getAttribute('aria-label') ?? document.activeElement.textContent)
    const reach = async (name) => {
      for (let presses = 0; presses < 60; presses++) {
        await tab.keyboard.press('Tab')
        if ((await focused()) === name) return
      }
      throw new Error(`Tab does not reach ${name}`)
    }
    await tab.keyboard.press('Tab')
    const first = await focused()
    await reach('Funnels')
    await tab.keyboard.press('Enter')
    await until(async () => (await focused()) === 'Funnels' && (await tab.evaluate(() => document.activeElement.localName)) === 'h1', 'the heading has the focus')
    await answered(tab)
    await reach('View as table: All users')
    await tab.keyboard.press('Enter')
    const rows = await tab.locator('figure table tbody tr').evaluateAll((all) => all.map((row) => row.children[1].textContent))
    return { first, rows, path: new URL(tab.url()).pathname, faults }
  },

  /** Filters are saved as a segment, which then is the address; it is deleted while the view names it. */
  async saved(browser) {
    const { made, faults } = await context(browser)
    const tab = await made.newPage()
    tab.on('dialog', (dialog) => dialog.accept())
    await tab.goto(`${gateway}/app/retention?where=page:is:/calculator&risk=medium`)
    await answered(tab)
    await tab.getByLabel('Name of the segment').fill('At risk on the calculator')
    await tab.keyboard.press('Enter')
    await tab.waitForURL(/segment=/)
    await tab.getByText('users in these days').waitFor()
    const address = new URL(tab.url())
    const size = await tab.locator('.filters output').innerText()
    const chosen = await tab.getByLabel('Users in').locator('option:checked').innerText()
    await answered(tab)
    const troubles = await tab.locator('[role=alert]').count()
    await tab.getByRole('button', { name: 'Delete the segment' }).click()
    await until(() => !new URL(tab.url()).searchParams.get('segment'), 'the segment is deleted')
    await tab.goto(address.href)
    await tab.getByText('SEGMENT_NOT_FOUND').first().waitFor()
    return { parameters: [...address.searchParams.keys()], size, chosen, troubles, faults: faults.filter((fault) => !fault.includes('404')) }
  },

  /** A failed event, mended and sent again. */
  async mended(browser) {
    const { made, faults } = await context(browser)
    const tab = await made.newPage()
    await tab.goto(`${gateway}/app/pipeline`)
    await answered(tab)
    await tab.locator('.failures summary').first().click()
    const send = async (event) => {
      await tab.locator('.failures textarea').first().fill(JSON.stringify(event))
      await tab.getByRole('button', { name: 'Send it mended' }).first().click()
    }
    const { page: _, ...incomplete } = asked.event.properties
    await send({ ...asked.event, properties: incomplete })
    const refusal = await until(() => tab.locator('.failures [role=status]').first().textContent(), 'it is refused again')
    await send(asked.event)
    await tab.getByText('No event failed.').waitFor()
    return { refusal, faults }
  },

  /** What each page says on a mesh that knows nothing. */
  async empty(browser) {
    const { made, faults } = await context(browser)
    const found = {}
    for (const path of asked.paths) {
      const tab = await made.newPage()
      await tab.goto(gateway + path)
      await answered(tab)
      found[path] = await tab.evaluate(() => document.querySelectorAll('.empty').length)
      await tab.close()
    }
    return { found, faults }
  },

  /** A view that needs somebody to sign in. */
  async stranger(browser) {
    const { made } = await context(browser)
    const tab = await made.newPage()
    await tab.goto(`${gateway}/app/funnels`)
    await answered(tab)
    return tab.getByRole('link', { name: 'Sign in' }).first().getAttribute('href')
  },

  /** Somebody with a role: what they are called, what they may see, and what not. */
  async signedIn(browser) {
    const { made } = await context(browser)
    await made.addCookies([{ ...asked.cookie, url: gateway.replace('http:', 'https:'), secure: true, httpOnly: true, sameSite: 'Lax' }])
    const tab = await made.newPage()
    await tab.goto(`${gateway}/app/funnels`)
    await answered(tab)
    const funnels = await tab.locator('main').innerText()
    const settings = await tab.locator('.settings').innerText()
    await tab.goto(`${gateway}/app/pipeline`)
    await answered(tab)
    const pipeline = await tab.locator('main').innerText()
    await tab.goto(`${gateway}/app/funnels`)
    await answered(tab)
    await Promise.all([tab.waitForEvent('load'), tab.getByRole('button', { name: 'Sign out' }).click()])
    await tab.getByRole('link', { name: 'Sign in' }).first().waitFor()
    return { funnels, settings, pipeline }
  },

  /** A funnel without, with, and again without a filter; the filtered one also by its address alone. */
  async filters(browser) {
    const { made, faults } = await context(browser)
    const tab = await made.newPage()
    const shown = async (of = tab) => {
      await answered(of)
      return of.locator('figure .figure').evaluateAll((all) => all.map((each) => each.firstChild.textContent))
    }
    await tab.goto(gateway + asked.path)
    const before = await shown()
    await tab.getByLabel('Value', { exact: true }).fill('/calculator')
    await tab.keyboard.press('Enter')
    await tab.waitForURL(/where=page%3Ais%3A%2Fcalculator/)
    const after = await until(async () => ((await shown()).join() === before.join() ? undefined : shown()), 'the filter changes the figures')
    const other = await made.newPage()
    await other.goto(tab.url())
    const shared = await shown(other)
    await tab.getByRole('button', { name: /Remove the filter/ }).focus()
    await tab.keyboard.press('Enter')
    await tab.waitForURL((url) => !url.searchParams.has('where'))
    const removed = await until(async () => ((await shown()).join() === after.join() ? undefined : shown()), 'all are counted again')
    return { before, after, shared, removed, faults }
  },

  /** What a page says. */
  async read(browser) {
    const { made, faults } = await context(browser)
    const tab = await made.newPage()
    await tab.goto(gateway + asked.path)
    await answered(tab)
    return { text: await tab.locator('main').innerText(), intervals: await tab.locator('.interval').count(), faults }
  },

  /** From the first page to the company's provider, back as somebody who has signed in, and out again. */
  async provided(browser) {
    const { made } = await context(browser)
    await made.route((url) => url.hostname !== '127.0.0.1', (route) => route.abort())
    const tab = await made.newPage()
    await tab.goto(`${gateway}/app?days=28`)
    await tab.getByRole('link', { name: 'Sign in' }).first().click()
    const provider = new URL(tab.url()).origin
    await tab.getByRole('button', { name: asked.user, exact: true }).click()
    await tab.waitForURL(`${gateway}/app?days=28`)
    await tab.getByRole('button', { name: 'Sign out' }).waitFor()
    await answered(tab)
    await tab.getByText('Nothing has happened since').waitFor()
    const shown = { provider, settings: await tab.locator('.settings').innerText(), links: await tab.getByRole('link', { name: 'Sign in' }).count() }
    const cookies = (await made.cookies(gateway)).map(({ httpOnly, secure, sameSite }) => ({ httpOnly, secure, sameSite }))
    await tab.getByRole('button', { name: 'Sign out' }).click()
    await tab.getByRole('link', { name: 'Sign in' }).first().waitFor()
    const afterwards = await tab.evaluate(async () => (await fetch('/api/lift')).status)
    return { ...shown, cookies, afterwards }
  },

  /** Pictures of every page into a folder. */
  async pictures(browser) {
    for (const [width, colorScheme] of [[1280, 'light'], [1280, 'dark'], [320, 'light']]) {
      const { made } = await context(browser, { viewport: { width, height: 800 }, colorScheme, reducedMotion: 'reduce' })
      for (const path of asked.paths) {
        const tab = await made.newPage()
        await tab.goto(gateway + path)
        await answered(tab)
        const url = new URL(gateway + path)
        const name = url.searchParams.has('user') ? 'time-line' : (url.pathname.split('/')[2] ?? 'now')
        await tab.screenshot({ path: `${asked.folder}/${name}-${width}-${colorScheme}.png` })
        await tab.close()
      }
      await made.close()
    }
    return asked.paths.length
  },
}

await told(stories[asked.part])
