/**
 * The population stability index of counts by bin against those of another time: the sum of (p - q) ln(p / q) over the
 * bins' shares p and q. 0 if the shares are equal. Each bin counts half a user more, so that an empty one is no infinity.
 */
export function stability(before: readonly number[], now: readonly number[]): number {
  const shares = (counts: readonly number[]): number[] => {
    const all = counts.reduce((one, other) => one + other + 0.5, 0)
    return counts.map((count) => (count + 0.5) / all)
  }
  const p = shares(now)
  return shares(before).reduce((index, q, at) => index + ((p[at] ?? q) - q) * Math.log((p[at] ?? q) / q), 0)
}
