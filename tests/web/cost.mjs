// What the tracker costs the main thread of a slow machine, in milliseconds of its processor: per click, key and scroll.
import { asked, gateway, site, told } from './browser.mjs'

const deep = (depth) => (depth ? `<div>${deep(depth - 1)}</div>` : '<button id="toggle" aria-pressed="false">Dark</button><button id="broken">Broken</button>')
const page = `<!doctype html><html lang="en"><title>Shop</title><script src="${gateway}/t.js"></script>
<form><input name="search"></form>${deep(30)}
<ul>${Array.from({ length: 2000 }, (_, i) => `<li><a href="#${i}">Item <b>${i}</b></a>`).join('')}</ul>
<script>
toggle.onclick = () => toggle.setAttribute('aria-pressed', toggle.getAttribute('aria-pressed') === 'false')
document.querySelector('input').oninput = ({ target }) => (document.title = target.value)
</script>`
const LOADED = /\/t(\/\w+)?\.js$/

await told(async (browser) => {
  const { origin, close } = await site({ '/': page })
  const tab = await browser.newPage()
  const client = await tab.context().newCDPSession(tab)
  const devtools = await browser.newBrowserCDPSession()
  await tab.goto(origin)
  await tab.waitForTimeout(1500)
  await client.send('Emulation.setCPUThrottlingRate', { rate: asked.slower })

  /** What scripts of the tracker, and what they left to microtasks, cost after each dispatch of an event of this name. */
  const cost = async (name, act, pause) => {
    const traced = []
    const take = ({ value }) => traced.push(...value)
    devtools.on('Tracing.dataCollected', take)
    await devtools.send('Tracing.start', { traceConfig: { includedCategories: ['devtools.timeline', 'v8'] }, transferMode: 'ReportEvents' })
    for (let i = 0; i < asked.count; i++) {
      await act(i)
      await tab.waitForTimeout(pause)
    }
    await tab.waitForTimeout(3000)
    const complete = new Promise((resolve) => devtools.once('Tracing.tracingComplete', resolve))
    await devtools.send('Tracing.end')
    await complete
    devtools.off('Tracing.dataCollected', take)

    traced.sort((one, other) => one.ts - other.ts || (other.dur ?? 0) - (one.dur ?? 0))
    const costs = []
    const { pid, tid } = traced.find((event) => event.name === 'EventDispatch' && event.args.data.type === name)
    let end = 0
    for (const event of traced) {
      if (event.pid !== pid || event.tid !== tid) continue
      if (event.name === 'EventDispatch' && event.args.data.type === name) costs.push(0)
      const isOurs = event.name === 'RunMicrotasks' || (event.name === 'FunctionCall' && LOADED.test(event.args.data?.url))
      // A call within one that is counted is counted with it.
      if (!isOurs || event.ts < end || !costs.length) continue
      end = event.ts + event.dur
      costs[costs.length - 1] += event.tdur / 1000
    }
    return costs
  }
  const point = async (id) => {
    const { x, y, width, height } = await tab.locator(id).boundingBox()
    await tab.mouse.move(x + width / 2, y + height / 2)
  }
  const click = async () => {
    await tab.mouse.down()
    await tab.mouse.up()
  }
  const found = {}
  await point('#toggle')
  found['click that works'] = await cost('pointerdown', click, 300)
  await point('#broken')
  found['click in vain'] = await cost('pointerdown', click, 300)
  await tab.focus('input')
  found['key'] = await cost('keydown', () => tab.keyboard.press('a'), 100)
  found['scroll'] = await cost('scroll', (i) => tab.mouse.wheel(0, i % 2 ? -200 : 200), 200)
  close()
  return found
})
