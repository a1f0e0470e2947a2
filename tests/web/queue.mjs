// A thousand events while the browser and its tabs are killed, the network goes and pages are left, at random.
import { mkdtemp, readdir, readFile, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { asked, gateway, require, scripts, site, until } from './browser.mjs'

const { chromium } = require('playwright-core')
const { count, seed } = asked
const profile = await mkdtemp(join(tmpdir(), 'profile-'))
const { origin, close } = await site({ '*': `<!doctype html><title>shop</title>${scripts}` })

let state = seed
const chance = () => {
  state = (Math.imul(state, 1664525) + 1013904223) >>> 0
  return state / 2 ** 32
}

const kept = new Set()
const done = {}
let context
let tab
let next = 0

async function launch() {
  context = await chromium.launchPersistentContext(profile, {
    executablePath: process.argv[2],
    args: ['--no-sandbox', '--no-proxy-server'],
  })
  // What the page says is safe must arrive, whatever happens to the page.
  await context.exposeBinding('keep', (_, value) => void kept.add(value))
  await open()
}

async function open() {
  tab = await context.newPage()
  await tab.goto(`${origin}/page-${Math.floor(chance() * 5)}`)
}

/** The processes of the browser: its command line names the profile. */
async function processes() {
  const all = (await readdir('/proc')).filter((name) => /^\d+$/.test(name)).map(Number)
  const lines = await Promise.all(all.map((pid) => readFile(`/proc/${pid}/cmdline`, 'utf8').catch(() => '')))
  return all.filter((_, index) => lines[index].includes(`--user-data-dir=${profile}`))
}

const acts = {
  leave: () => tab.goto(`${origin}/page-${Math.floor(chance() * 5)}`),
  reload: () => tab.reload(),
  close: async () => {
    await tab.close({ runBeforeUnload: chance() < 0.5 })
    await open()
  },
  // The whole browser dies, as when the machine runs out of memory; the profile is as it left it.
  kill: async () => {
    const closed = new Promise((resolve) => context.once('close', resolve))
    for (const pid of await processes()) process.kill(pid, 'SIGKILL')
    await closed
    await launch()
  },
  // The process of the page dies; nothing in it hears of that.
  crash: async () => {
    await tab.goto('chrome://crash').catch(() => {})
    await tab.close()
    await open()
  },
  offline: async () => {
    await context.setOffline(true)
    setTimeout(() => context.setOffline(false).catch(() => {}), 300 + chance() * 1500)
  },
  second: async () => {
    const other = await context.newPage()
    await other.goto(`${origin}/other`)
    await other.evaluate(produce)
    await other.evaluate((values) => window.produce(values), batch())
    if (chance() < 0.5) await other.close()
  },
  wait: () => tab.waitForTimeout(chance() * 400),
}
const weights = { leave: 5, reload: 2, close: 3, kill: 1, crash: 2, offline: 2, second: 2, wait: 4 }
const bag = Object.entries(weights).flatMap(([name, weight]) => Array(weight).fill(name))

function batch() {
  const values = []
  while (next < count && values.length < 1 + chance() * 12) values.push(next++)
  return values
}

// In the page: tells of each event once it is safe.
const produce = `window.produce = (values) => {
  for (const value of values) journeymesh.track('feature_interaction', { feature: 'stress', value }).then(() => keep(value))
}`

await launch()
while (next < count) {
  await tab.evaluate(produce).catch(() => {})
  await tab.evaluate((values) => window.produce(values), batch()).catch(() => {})
  const act = bag[Math.floor(chance() * bag.length)]
  done[act] = (done[act] ?? 0) + 1
  try {
    await acts[act]()
  } catch {
    // It may be offline, or gone: start over.
    await context.setOffline(false).catch(() => {})
    await tab.close().catch(() => {})
    await open()
  }
}
await context.setOffline(false)
await tab.close().catch(() => {})
await open()
const left = () =>
  tab.evaluate(
    () =>
      new Promise((resolve, reject) => {
        const asked = indexedDB.open('journeymesh')
        asked.onerror = reject
        asked.onsuccess = () => {
          const counted = asked.result.transaction('journeymesh').objectStore('journeymesh').count()
          counted.onsuccess = () => resolve(counted.result)
        }
      }),
  )
await until(async () => (await left()) === 0, 'all is sent', 60_000)
await context.close()
close()
await rm(profile, { recursive: true, force: true })
console.log(JSON.stringify({ produced: next, kept: [...kept], done, gateway }))
