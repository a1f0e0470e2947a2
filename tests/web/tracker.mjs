// What the tracker records of pages, forms, errors and videos; and that it records nothing without consent.
import { readFile } from 'node:fs/promises'
import { context, gateway, get, site, told, until } from './browser.mjs'

const page = (attributes = '') => `<!doctype html><html lang="en"><title>Shop</title>
<script>window.journeymesh = [['identify', new URL(location).searchParams.get('user')]]</script>
<script src="${gateway}/t.js" ${attributes}></script>
<form id="order" onsubmit="event.preventDefault()"><input name="mail" type="email" required><input name="secret" type="password"><button>Order</button></form>
<form data-name="survey"><input name="opinion"></form>
<video id="clip" muted src="/clip.webm"></video>`

await told(async (browser) => {
  const clip = await readFile(new URL('../../web/demo/clip.webm', import.meta.url))
  const pages = { '/': page(), '/next': page(), '/pending': page('data-consent="pending"'), '/clip.webm': clip }
  const { origin, close } = await site(pages)
  const found = { faults: [] }

  /** A user's events, oldest first, once there are so many of a type. */
  const events = async (user, type, count = 1) => {
    const all = await until(async () => {
      const all = (await get(`/api/users/${user}/events`))?.events ?? []
      return all.filter((event) => event.eventType === type).length >= count && all
    }, `${count} ${type} of ${user}`)
    const kept = all.filter((event) => !event.copiedEventId && event.eventType !== 'click')
    return kept.reverse().map(({ eventType, properties, context }) => ({ eventType, properties, context }))
  }

  const open = async (path, before) => {
    const { made, faults } = await context(browser, { hosts: [new URL(origin).host, new URL(gateway).host] })
    found.faults.push(faults)
    if (before) await made.addInitScript(before)
    const tab = await made.newPage()
    const asked = []
    tab.on('request', (request) => request.url().includes('/api/') && asked.push(request.url()))
    await tab.goto(origin + path)
    return { made, tab, asked }
  }

  /** Waits for what the tracker loads later. */
  const ready = async (tab) => {
    const isLoaded = () => performance.getEntriesByType('resource').filter(({ name, responseEnd }) => /\/t\/\w+\.js/.test(name) && responseEnd).length === 2
    await tab.waitForFunction(isLoaded)
    await tab.waitForTimeout(200)
  }

  // Pages: within the page, by a hash route, loaded again; an anchor is none.
  {
    const { made, tab } = await open('/?user=pages')
    await tab.evaluate(() => history.pushState({}, '', '/cart?user=pages'))
    await tab.waitForTimeout(500)
    await tab.evaluate(() => (location.hash = '#anchor'))
    await tab.waitForTimeout(500)
    await tab.evaluate(() => (location.hash = '#/pay'))
    await tab.waitForTimeout(500)
    await tab.goto(`${origin}/next?user=pages`)
    await tab.reload()
    found.pages = (await events('pages', 'page_view', 5)).filter(({ eventType }) => eventType === 'page_view')
    await made.close()
  }

  // Forms: refused, sent, left.
  {
    const { made, tab } = await open('/?user=forms')
    await ready(tab)
    await tab.fill('[name=mail]', 'ada')
    await tab.fill('[name=secret]', 'open sesame')
    await tab.click('text=Order')
    await tab.fill('[name=mail]', 'ada@shop.example')
    await tab.click('text=Order')
    await tab.fill('[name=opinion]', 'good')
    await tab.goto(`${origin}/next?user=forms`)
    found.forms = (await events('forms', 'form_abandon')).filter(({ eventType }) => /form|error/.test(eventType))
    await made.close()
  }

  // A script that fails by itself, and one that fails because of what somebody did.
  {
    const { made, tab } = await open('/?user=errors')
    found.faults.pop()
    await ready(tab)
    const fail = () => tab.evaluate(() => setTimeout(() => { throw new TypeError('no such member') }))
    await fail()
    await tab.waitForTimeout(1100)
    await tab.keyboard.press('a')
    await fail()
    await fail()
    found.errors = (await events('errors', 'error', 2)).filter(({ eventType }) => eventType === 'error')
    await made.close()
  }

  // A video: ten seconds are watched, a part is skipped, two more are watched.
  {
    const { made, tab } = await open('/?user=videos')
    await ready(tab)
    await tab.evaluate(async () => {
      const video = document.querySelector('video')
      const reaches = (second) => new Promise((resolve) => (video.ontimeupdate = () => video.currentTime >= second && resolve()))
      video.playbackRate = 4
      await video.play()
      await reaches(10)
      video.currentTime = 20
      await reaches(22)
      video.pause()
    })
    await tab.evaluate(() => journeymesh.flush())
    found.playback = (await events('videos', 'video_playback', 4)).filter(({ eventType }) => eventType === 'video_playback').map(({ properties }) => properties)
    found.videos = (await get('/api/users/videos/videos')).videos
    await made.close()
  }

  // Without consent nothing is asked or stored.
  const storage = (tab) => tab.evaluate(async () => [Object.keys(localStorage), (await indexedDB.databases()).map(({ name }) => name)])
  const gpc = () => Object.defineProperty(Navigator.prototype, 'globalPrivacyControl', { value: true })
  for (const [user, path, before] of [
    ['pending', '/pending?user=pending'],
    ['gpc', '/?user=gpc', gpc],
  ]) {
    const { made, tab, asked } = await open(path, before)
    await tab.evaluate(() => journeymesh.track('help_request'))
    await tab.fill('[name=opinion]', 'good')
    await tab.waitForTimeout(3500)
    const earlier = { asked: [...asked], stored: await storage(tab) }
    await tab.evaluate(() => journeymesh.consent(true))
    const granted = await events(user, 'page_view')
    await tab.evaluate(() => journeymesh.consent(false))
    found[user] = { ...earlier, granted: granted.map(({ eventType }) => eventType), after: (await storage(tab))[0] }
    await made.close()
  }
  close()
  found.faults = found.faults.flat()
  return found
})
