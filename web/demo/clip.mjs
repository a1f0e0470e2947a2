// Makes clip.webm: node clip.mjs CHROMIUM, with the browser driver of tests/node. The animation is drawn and encoded in the browser; what
// is left to do here is the container.
import { writeFile } from 'node:fs/promises'
import { createServer } from 'node:http'
import { createRequire } from 'node:module'

const { chromium } = createRequire(new URL('../../tests/node/', import.meta.url))('playwright-core')
const FPS = 8
const SECONDS = 30
const [WIDTH, HEIGHT] = [480, 270]

const site = createServer((_, response) => response.end('<!doctype html><title>clip</title>'))
await new Promise((resolve) => site.listen(0, 'localhost', resolve))
const browser = await chromium.launch({ executablePath: process.argv[2], args: ['--no-sandbox', '--no-proxy-server'] })
const tab = await browser.newPage()
await tab.goto(`http://localhost:${site.address().port}/`)
const frames = await tab.evaluate(draw, { FPS, SECONDS, WIDTH, HEIGHT })
await browser.close()
site.close()

async function draw({ FPS, SECONDS, WIDTH, HEIGHT }) {
  const canvas = new OffscreenCanvas(WIDTH, HEIGHT)
  const context = canvas.getContext('2d')
  const frames = []
  const encoder = new VideoEncoder({
    output: (chunk) => {
      const bytes = new Uint8Array(chunk.byteLength)
      chunk.copyTo(bytes)
      frames.push({ isKey: chunk.type === 'key', data: btoa(String.fromCharCode(...bytes)) })
    },
    error: (error) => { throw error },
  })
  encoder.configure({ codec: 'vp8', width: WIDTH, height: HEIGHT, bitrate: 20_000, framerate: FPS })
  const chapters = ['You borrow 50,000.', 'Each month you pay the same.', 'At first most of it is interest.', 'Later most of it pays back the loan.', 'After ten years nothing is left.']
  for (let frame = 0; frame < FPS * SECONDS; frame++) {
    const part = frame / (FPS * SECONDS)
    context.fillStyle = '#0c1512'
    context.fillRect(0, 0, WIDTH, HEIGHT)
    const years = 10
    for (let year = 0; year < years; year++) {
      const isPast = year < part * years
      const owed = 1 - year / years
      const [x, width, full] = [40 + year * 40, 28, 120]
      const height = full * (isPast ? 1 : 0.08)
      const interest = height * 0.45 * owed
      context.fillStyle = '#6fd3ac'
      context.fillRect(x, 220 - height, width, height - interest)
      context.fillStyle = '#f0b357'
      context.fillRect(x, 220 - interest, width, interest)
    }
    context.fillStyle = '#e7ede9'
    context.font = '600 20px sans-serif'
    context.fillText(chapters[Math.min(chapters.length - 1, Math.floor(part * chapters.length))], 40, 60)
    const image = new VideoFrame(canvas, { timestamp: (frame * 1e6) / FPS })
    encoder.encode(image, { keyFrame: frame % (FPS * 10) === 0 })
    image.close()
  }
  await encoder.flush()
  return frames
}

// The container: https://www.matroska.org/technical/elements.html
const size = (length) => {
  const bytes = Buffer.alloc(8)
  bytes.writeBigUInt64BE(BigInt(length) | (1n << 56n))
  return bytes
}
const element = (id, ...parts) => {
  const body = Buffer.concat(parts.map((part) => (typeof part === 'string' ? Buffer.from(part) : part)))
  return Buffer.concat([Buffer.from(id, 'hex'), size(body.length), body])
}
const number = (value, length = 4) => {
  const bytes = Buffer.alloc(length)
  bytes.writeUIntBE(value, 0, length)
  return bytes
}
const float = (value) => {
  const bytes = Buffer.alloc(8)
  bytes.writeDoubleBE(value)
  return bytes
}

const head = element('1a45dfa3', element('4286', number(1)), element('42f7', number(1)), element('42f2', number(4)), element('42f3', number(8)), element('4282', 'webm'), element('4287', number(2)), element('4285', number(2)))
const info = element('1549a966', element('2ad7b1', number(1_000_000)), element('4489', float(SECONDS * 1000)), element('4d80', 'Journeymesh'), element('5741', 'Journeymesh'))
const track = element('ae', element('d7', number(1)), element('73c5', number(1)), element('83', number(1)), element('86', 'V_VP8'), element('e0', element('b0', number(WIDTH)), element('ba', number(HEIGHT))))
const tracks = element('1654ae6b', track)

const clusters = []
frames.forEach(({ isKey, data }, index) => {
  const at = Math.round((index * 1000) / FPS)
  if (isKey) clusters.push({ at, blocks: [] })
  const cluster = clusters.at(-1)
  const relative = Buffer.alloc(2)
  relative.writeInt16BE(at - cluster.at)
  cluster.blocks.push(element('a3', Buffer.from([0x81]), relative, Buffer.from([isKey ? 0x80 : 0]), Buffer.from(data, 'base64')))
})
const built = clusters.map(({ at, blocks }) => ({ at, bytes: element('1f43b675', element('e7', number(at)), ...blocks) }))
const cuesOf = (first) => {
  let position = first
  return element('1c53bb6b', ...built.map(({ at, bytes }) => {
    const point = element('bb', element('b3', number(at)), element('b7', element('f7', number(1)), element('f1', number(position))))
    position += bytes.length
    return point
  }))
}
const before = info.length + tracks.length
const cues = cuesOf(before + cuesOf(0).length)
const clip = Buffer.concat([head, element('18538067', info, tracks, cues, ...built.map(({ bytes }) => bytes))])
await writeFile(new URL('clip.webm', import.meta.url), clip)
console.log(`${clip.length} bytes`)
