let lastMs = 0
let count = 0

/** A UUIDv7: unique without asking anybody, and as a text in the order in which a page makes them. */
export function newId(): string {
  const now = Math.max(Date.now(), lastMs)
  count = now > lastMs ? 0 : count + 1
  lastMs = now
  const random = [...crypto.getRandomValues(new Uint8Array(8))].map((byte) => hex(byte, 2)).join('')
  const time = hex(now, 12)
  return `${time.slice(0, 8)}-${time.slice(8)}-7${hex(count & 0xfff, 3)}-a${random.slice(0, 3)}-${random.slice(3, 15)}`
}

function hex(value: number, length: number): string {
  return value.toString(16).padStart(length, '0')
}
