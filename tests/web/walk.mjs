// A newcomer's own page, as docs/tracker.md has it.
import { asked, context, gateway, site, told } from './browser.mjs'

await told(async (browser) => {
  const { origin, close } = await site({ '/': asked.page }, {}, asked.port)
  const { made, faults } = await context(browser, { hosts: [new URL(origin).host, new URL(gateway).host] })
  const tab = await made.newPage()
  const said = new Promise((resolve) =>
    tab.on('dialog', async (dialog) => {
      await dialog.accept()
      resolve(dialog.message())
    }),
  )
  await tab.goto(origin)
  const button = tab.getByRole('button', { name: 'Search' })
  for (let i = 0; i < 3; i++) await button.click()
  const card = tab.getByRole('dialog')
  await card.waitFor()
  await tab.waitForTimeout(300)
  const [at, box] = [await button.boundingBox(), await card.boundingBox()]
  await card.getByRole('button', { name: 'Start live chat' }).click()
  const found = { isBeside: Math.abs(box.y - at.y - at.height) < 20, said: await said, faults }
  await made.close()
  close()
  return found
})
