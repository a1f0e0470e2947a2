// What a page does with @segment/analytics-next and with beacons, in a real browser:
// node browser.mjs CHROMIUM GATEWAY STORY. The page is served here, so that the gateway is another origin to it.
import { readFile } from 'node:fs/promises'
import { createServer } from 'node:http'
import { createRequire } from 'node:module'
import { basename, dirname } from 'node:path'

const require = createRequire(new URL('../node/', import.meta.url))
const { chromium } = require('playwright-core')
const bundles = `${dirname(require.resolve('@segment/analytics-next/package.json'))}/dist/umd`
const [executablePath, gateway, story] = process.argv.slice(2)

const page = '<!doctype html><title>Loans</title><script src="/index.js"></script>'
const site = createServer(async (request, response) => {
  const { pathname } = new URL(request.url, 'http://localhost')
  const isScript = pathname.endsWith('.js')
  response.setHeader('content-type', isScript ? 'text/javascript' : 'text/html; charset=utf-8')
  response.end(isScript ? await readFile(`${bundles}/${basename(pathname)}`) : page)
})
await new Promise((resolve) => site.listen(0, 'localhost', resolve))
const origin = `http://localhost:${site.address().port}`

// Each runs in the page; what it gives back is awaited.
const stories = {
  // The client reads where to send from the gateway's own settings.
  calls: async (gateway) => {
    const analytics = window.AnalyticsNext.AnalyticsBrowser.load({ writeKey: 'any', cdnURL: gateway })
    await analytics.page('Home')
    await analytics.alias('ada')
    await analytics.identify('ada', { plan: 'pro' })
    await analytics.track('Slider Moved', { value: 25000 })
    await analytics.track('Order Completed', { revenue: '1.234,50 €' })
    await analytics.group('g-1', { name: 'Initech' })
    await analytics.screen('Calculator')
  },
  // The client is told where to send by the page.
  told: async (gateway) => {
    const { host, protocol } = new URL(gateway)
    const segment = { apiHost: `${host}/v1`, protocol: protocol.slice(0, -1) }
    const cdnSettings = { integrations: { 'Segment.io': segment } }
    const analytics = window.AnalyticsNext.AnalyticsBrowser.load({ writeKey: 'any', cdnSettings })
    await analytics.track('Slider Moved', { value: 1 })
  },
  // A hash router: the client leaves out what stands behind the hash. The last page is loaded again.
  routed: async (gateway) => {
    history.replaceState({}, '', '/app/')
    const analytics = window.AnalyticsNext.AnalyticsBrowser.load({ writeKey: 'any', cdnURL: gateway })
    for (const name of ['home', 'loans', 'rates', 'faq', 'faq']) {
      location.hash = `#/${name}`
      await analytics.page(name)
    }
    for (const title of ['Step 1', 'Step 2']) {
      document.title = title
      await analytics.page()
    }
  },
  // What was gathered is sent as the page is left.
  left: async (gateway) => {
    const deliveryStrategy = { strategy: 'batching', config: { size: 100, timeout: 600_000 } }
    const analytics = window.AnalyticsNext.AnalyticsBrowser.load(
      { writeKey: 'any', cdnURL: gateway },
      { integrations: { 'Segment.io': { deliveryStrategy } } },
    )
    for (const value of [1, 2, 3]) await analytics.track('Slider Moved', { value })
  },
  batched: async (gateway) => {
    const deliveryStrategy = { strategy: 'batching', config: { size: 3, timeout: 600_000, keepalive: true } }
    const analytics = window.AnalyticsNext.AnalyticsBrowser.load(
      { writeKey: 'any', cdnURL: gateway },
      { integrations: { 'Segment.io': { deliveryStrategy, credentials: 'include' } } },
    )
    for (const value of [1, 2, 3]) await analytics.track('Slider Moved', { value })
  },
  // Our own endpoints, by beacons of every kind, as the page is left.
  beacons: (gateway) => {
    const event = (eventId) => JSON.stringify({ eventId, userId: 'ada', eventType: 'session_end' })
    const json = (text) => new Blob([text], { type: 'application/json' })
    addEventListener('pagehide', () => {
      navigator.sendBeacon(`${gateway}/api/events/track`, event('as a text'))
      navigator.sendBeacon(`${gateway}/api/events/track`, json(event('as JSON')))
      navigator.sendBeacon(`${gateway}/api/events/track`, new Blob([event('as nothing')]))
      navigator.sendBeacon(`${gateway}/api/interventions/i-1/outcome`, JSON.stringify({ outcome: 'declined' }))
      fetch(`${gateway}/api/events/track`, { method: 'POST', body: event('kept alive'), keepalive: true })
    })
  },
  // What clients of tracing add; and what the page may read of an answer.
  traced: async (gateway) => {
    const answer = await fetch(`${gateway}/api/events/track`, {
      method: 'POST',
      body: JSON.stringify({ userId: 'ada', eventType: 'session_end' }),
      credentials: 'include',
      headers: {
        'content-type': 'application/json',
        traceparent: '00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01',
        tracestate: 'a=1',
        baggage: 'b=2',
        'x-datadog-trace-id': '1',
        'ce-comexampleextension': 'c',
      },
    })
    const { traceId } = await answer.json()
    if (traceId !== answer.headers.get('x-trace-id')) throw new Error(`${traceId} is not told in a header`)
  },
}

// How many requests a story waits for before the page is left: the client does not wait for its own.
const awaited = { calls: 7, told: 1, batched: 1, routed: 7 }[story] ?? 0

const browser = await chromium.launch({ executablePath, args: ['--no-sandbox', '--no-proxy-server'] })
try {
  const tab = await browser.newPage()
  const faults = []
  tab.on('pageerror', (error) => faults.push(String(error)))
  // The client does not read the answers, which the browser breaks off as the page is left.
  const answered = new Set()
  tab.on('response', (response) => answered.add(response.request()))
  tab.on('requestfailed', (request) => answered.has(request) || faults.push(`${request.url()}: ${request.failure().errorText}`))
  const delivered = new Promise((resolve) => {
    let left = awaited
    const count = (response) => left === 0 || (response?.ok() && response.url().includes('/v1/') && --left === 0)
    tab.on('response', (response) => response.request().method() === 'POST' && count(response) && resolve())
    if (count()) resolve()
  })
  await tab.goto(`${origin}/loans?q=1#top`)
  await tab.evaluate(stories[story], gateway)
  await delivered
  // The browser is told that the page is left, and ends what it is still sending.
  await tab.goto(`${origin}/left`)
  await tab.evaluate((gateway) => fetch(`${gateway}/healthz`).then((answer) => answer.text()), gateway)
  if (faults.length) throw new Error(faults.join('\n'))
} finally {
  await browser.close()
  site.close()
}
