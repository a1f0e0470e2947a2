// A newcomer struggles in the demo shop and sees help come.
import { asked, context, gateway, get, told, until } from './browser.mjs'

await told(async (browser) => {
  const { made, faults } = await context(browser, { viewport: { width: asked.width ?? 1280, height: 900 }, colorScheme: asked.scheme ?? 'light' })
  const tab = await made.newPage()
  await tab.goto(`${gateway}/demo`)
  const user = await tab.textContent('#user')
  await until(async () => (await get(`/api/users/${user}/events`))?.events.some((event) => event.eventType === 'page_view'), 'a page view')
  await tab.focus('[name=amount]')
  const calculate = tab.getByRole('button', { name: 'Calculate' })
  for (let i = 0; i < 2; i++) await calculate.click()
  await tab.waitForTimeout(300)
  const card = tab.getByRole('dialog')
  const before = await card.count()
  const began = await tab.evaluate(() => performance.now())
  await calculate.click()
  await card.waitFor({ timeout: 20_000 })
  const milliseconds = (await tab.evaluate(() => performance.now())) - began
  if (asked.picture) await tab.screenshot({ path: asked.picture, fullPage: true })
  const focused = await tab.evaluate(() => document.activeElement.localName)
  await card.getByRole('button', { name: 'Start live chat' }).click()
  await tab.locator('#chat[open]').waitFor()
  const decided = async () => (await get(`/api/decisions?userId=${user}`)).decisions.find((each) => each.outcome === 'accepted')
  const decision = await until(decided, 'the outcome is recorded')
  const overflow = await tab.evaluate(() => document.documentElement.scrollWidth - innerWidth)
  return { before, milliseconds, focused, decision, faults, overflow }
})
