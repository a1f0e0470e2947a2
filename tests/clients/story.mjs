// The story of tests/clients/story.py, told by @segment/analytics-node: node story.mjs HOST USER BEGINNING.
import { createRequire } from 'node:module'

const { Analytics } = createRequire(new URL('../node/', import.meta.url))('@segment/analytics-node')
const [host, userId, beginning] = process.argv.slice(2)
const at = (seconds) => new Date(Date.parse(beginning) + seconds * 1000)
const analytics = new Analytics({ writeKey: 'any', host, maxRetries: 3 })
analytics.on('error', (error) => {
  console.error(error)
  process.exitCode = 1
})

const anonymousId = `anonymous-${userId}`
analytics.page({ anonymousId, name: 'Home', properties: { path: '/home' }, timestamp: at(0) })
analytics.identify({ userId, anonymousId, traits: { plan: 'pro' }, timestamp: at(1) })
analytics.alias({ userId, previousId: `old-${userId}`, timestamp: at(2) })
analytics.group({ userId, groupId: 'g-1', traits: { name: 'Initech' }, timestamp: at(3) })
analytics.screen({ userId, name: 'Calculator', timestamp: at(4) })
analytics.track({ userId, event: 'Slider Moved', properties: { value: 25000 }, timestamp: at(5) })
analytics.track({ userId, event: 'Order Completed', properties: { revenue: 25.5, currency: 'EUR' }, timestamp: at(6) })

const video = { session_id: `viewing-${userId}`, asset_id: `video-${userId}`, total_length: 40 }
const beats = [
  ['Video Content Started', 0, 10],
  ['Video Content Playing', 10, 20],
  ['Video Content Playing', 20, 30],
  ['Video Playback Paused', 24, 34],
]
for (const [event, position, seconds] of beats) {
  analytics.track({ userId, event, properties: { ...video, position }, timestamp: at(seconds) })
}
await analytics.closeAndFlush({ timeout: 20000 })
