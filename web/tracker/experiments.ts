/** What decides who gets which arm, as `GET /api/experiments/{id}` tells it. Percents are from 0 to 100. */
export interface Allocation {
  salt: string
  /** The first one is the control. */
  arms: readonly { name: string; weight: number }[]
  percent: number
  holdoutPercent: number
}

export interface Assignment {
  arm: string
  reason: 'assigned' | 'held_out' | 'not_included'
}

/** The arm of a unit, as the service assigns it: the same hash of the same text. */
export async function assign({ salt, arms, percent, holdoutPercent }: Allocation, unit: string): Promise<Assignment> {
  const control = arms[0]!.name
  if ((await point('holdout', salt, unit)) * 100 < holdoutPercent) return { arm: control, reason: 'held_out' }
  if ((await point('inclusion', salt, unit)) * 100 >= percent) return { arm: control, reason: 'not_included' }
  let place = (await point('arm', salt, unit)) * arms.reduce((sum, { weight }) => sum + weight, 0)
  const found = arms.find(({ weight }) => (place -= weight) < 0)
  return { arm: found!.name, reason: 'assigned' }
}

/** From 0 to below 1: the first 52 bits of a SHA-256. */
async function point(purpose: string, salt: string, unit: string): Promise<number> {
  const text = new TextEncoder().encode(`1:${purpose}:${salt}:${unit}`)
  const bits = new DataView(await crypto.subtle.digest('SHA-256', text))
  return (bits.getUint32(0) * 2 ** 20 + (bits.getUint32(4) >>> 12)) / 2 ** 52
}

/** What `GET /api/experiments:configuration` answers; both in base64. */
export interface Signed {
  payload: string
  signature: string
}

/** An experiment of a configuration. `promoted` is the arm that all units get, or empty. */
export interface Configured extends Allocation {
  id: string
  state: string
  promoted: string
  arms: readonly { name: string; weight: number; value: string }[]
}

const DAY_SECONDS = 86_400

/**
 * The experiments of a configuration; keep it, and use it for a day where the service cannot be asked.
 *
 * @param publicKey in base64, and known beforehand: one that came along proves nothing
 * @throws Error if it is not signed by that key, or was issued more than a day ago
 */
export async function configured({ payload, signature }: Signed, publicKey: string, now = Date.now()): Promise<Configured[]> {
  const key = await crypto.subtle.importKey('raw', bytes(publicKey), 'Ed25519', false, ['verify'])
  const said = atob(payload)
  const signed = bytes(btoa(`journeymesh.experiments.1\n${said}`))
  if (!(await crypto.subtle.verify('Ed25519', key, bytes(signature), signed))) throw new Error('not signed by this key')
  const { issuedAt, experiments } = JSON.parse(new TextDecoder().decode(bytes(payload)))
  if (now / 1000 - issuedAt > DAY_SECONDS) throw new Error('issued more than a day ago')
  return experiments
}

function bytes(base64: string): Uint8Array<ArrayBuffer> {
  return Uint8Array.from(atob(base64), (letter) => letter.charCodeAt(0))
}
