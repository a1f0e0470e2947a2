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
