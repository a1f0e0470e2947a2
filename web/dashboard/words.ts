// Numbers, times and names as people read them.
import type { Standing } from './answers.ts'

const whole = new Intl.NumberFormat('en', { maximumFractionDigits: 0 })
const precise = new Intl.NumberFormat('en', { maximumFractionDigits: 1 })
const money = new Intl.NumberFormat('en', { style: 'currency', currency: 'USD', maximumSignificantDigits: 3 })
const percent = new Intl.NumberFormat('en', { style: 'percent', maximumFractionDigits: 1 })
const moment = new Intl.DateTimeFormat('en-GB', { day: 'numeric', month: 'short', hour: '2-digit', minute: '2-digit', second: '2-digit' })
const date = new Intl.DateTimeFormat('en-GB', { day: 'numeric', month: 'short' })
const hour = new Intl.DateTimeFormat('en-GB', { hour: '2-digit', minute: '2-digit' })

export const number = (value: number): string => (Math.abs(value) < 100 ? precise : whole).format(value)
export const dollars = (value: number): string => money.format(value)
export const share = (value: number): string => percent.format(value)
export const time = (text: string): string => moment.format(new Date(text))
export const day = (text: string): string => date.format(new Date(text))
export const clock = (text: string): string => hour.format(new Date(text))

/** `rage_clicks` as `Rage clicks`. */
export function named(name: string): string {
  const words = name.replaceAll('_', ' ')
  return words.charAt(0).toUpperCase() + words.slice(1)
}

export function seconds(value: number): string {
  if (value < 1) return `${whole.format(value * 1000)} ms`
  if (value < 120) return `${precise.format(value)} s`
  if (value < 7200) return `${precise.format(value / 60)} min`
  return value < 172_800 ? `${precise.format(value / 3600)} h` : `${precise.format(value / 86_400)} days`
}

export const counted = (count: number, one: string, many = `${one}s`): string => `${number(count)} ${count === 1 ? one : many}`

/** The segment, group and arm of a user at a decision; empty if there were none. */
export function standing({ segment, group, arm }: Standing): string {
  return Object.entries({ Segment: segment, Group: group, Arm: arm })
    .flatMap(([word, value]) => (value ? [`${word}: ${value}`] : []))
    .join(' · ')
}
