// What the stories of tests/web share: node STORY.mjs CHROMIUM GATEWAY [SETTINGS AS JSON]. A story prints one line of JSON.
import { createServer } from 'node:http'
import { createRequire } from 'node:module'

export const require = createRequire(new URL('../node/', import.meta.url))
const { chromium } = require('playwright-core')
const [executablePath, given, settings = '{}'] = process.argv.slice(2)

export const gateway = given
export const asked = JSON.parse(settings)

// The mesh helps no machine: a browser under test must look as any other.
const userAgent = 'Mozilla/5.0 (X11; Linux x86_64) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/156.0.0.0 Safari/537.36'

/** Runs a story with a browser, and prints what it returns. */
export async function told(story, options = {}) {
  const args = ['--no-sandbox', '--no-proxy-server', '--disable-blink-features=AutomationControlled', `--user-agent=${userAgent}`]
  const browser = await chromium.launch({ executablePath, args, ...options })
  try {
    console.log(JSON.stringify(await story(browser)))
  } finally {
    await browser.close()
  }
}

/** A context in which faults are collected: errors of pages and of the console, violations of policies, requests to elsewhere. */
export async function context(browser, options = {}) {
  const made = await browser.newContext(options)
  const faults = []
  const own = new Set([new URL(gateway).host, ...(options.hosts ?? [])])
  await made.addInitScript(() => {
    addEventListener('securitypolicyviolation', (event) => console.error(`policy: ${event.violatedDirective} ${event.blockedURI} ${event.sample}`))
  })
  made.on('weberror', (error) => faults.push(String(error.error())))
  made.on('console', (message) => message.type() === 'error' && faults.push(`${message.text()} ${message.location().url}`))
  made.on('request', (request) => {
    const { protocol, host } = new URL(request.url())
    if (protocol.startsWith('http') && !own.has(host)) faults.push(`asked elsewhere: ${request.url()}`)
  })
  return { made, faults }
}

/** A site of another origin than the gateway's: pages by their paths, with these headers; bytes are videos, sent in parts. */
export async function site(pages, headers = {}, port = 0) {
  const server = createServer((request, response) => {
    const { pathname } = new URL(request.url, 'http://localhost')
    const page = pathname === '/favicon.ico' ? '' : (pages[pathname] ?? pages['*'])
    if (Buffer.isBuffer(page)) {
      const first = Number(/\d+/.exec(request.headers.range ?? '0'))
      response.writeHead(206, { 'content-type': 'video/webm', 'content-range': `bytes ${first}-${page.length - 1}/${page.length}` })
      return response.end(page.subarray(first))
    }
    const type = pathname.endsWith('.js') ? 'text/javascript' : 'text/html; charset=utf-8'
    response.writeHead(page === undefined ? 404 : 200, { 'content-type': type, ...headers })
    response.end(page)
  })
  await new Promise((resolve) => server.listen(port, 'localhost', resolve))
  return { origin: `http://localhost:${server.address().port}`, close: () => server.close() }
}

export const scripts = `<script src="${gateway}/t.js"></script>`

/** Waits until a condition holds. */
export async function until(holds, what, ms = 20_000) {
  const deadline = Date.now() + ms
  for (;;) {
    const found = await holds()
    if (found) return found
    if (Date.now() > deadline) throw new Error(`not in ${ms} ms: ${what}`)
    await new Promise((resolve) => setTimeout(resolve, 20))
  }
}

/** What the gateway answers to a server; nothing if that is an error. */
export async function get(path) {
  const answer = await fetch(gateway + path, { headers: asked.secret ? { authorization: `Bearer ${asked.secret}` } : {} })
  return answer.ok ? answer.json() : undefined
}
