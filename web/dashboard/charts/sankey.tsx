// Ways through places, column by column: what comes into a place goes out of it.
import type { Paths, Place } from '../answers.ts'
import { Chart, Drawing } from '../parts.tsx'
import { counted, number, share } from '../words.ts'

const BAR = 10
const GAP = 12
const HEIGHT = 420
const LEAST_COLUMN = 150

export const placed = ({ kind, name }: Place): string => (kind === 'place' ? name || '(no page)' : kind === 'other' ? 'Other places' : 'Left')

export function Sankey({ paths: { places, links } }: { paths: Paths }) {
  const columnCount = 1 + Math.max(...places.map(({ column }) => column))
  const columns = Array.from({ length: columnCount }, (_, column) => places.map((place, index) => ({ ...place, index })).filter((place) => place.column === column))
  const totals = columns.map((column) => column.reduce((sum, { sessionCount }) => sum + sessionCount, 0))
  const gaps = Math.max(...columns.map(({ length }) => length - 1)) * GAP
  const unit = (HEIGHT - gaps - 24) / Math.max(1, ...totals)
  const starts = columns[0] ?? []
  const summary = `${counted(totals[0] ?? 0, 'session')}, most often from ${starts[0] ? placed(starts[0]) : 'nowhere'}.`
  const rows = links.map((link) => ({ ...link, from: places[link.fromPlace], to: places[link.toPlace] }))
  return (
    <Chart
      title="Paths"
      summary={summary}
      rows={rows}
      columns={[
        { name: 'Step', of: ({ from }) => number((from?.column ?? 0) + 1), isNumber: true },
        { name: 'From', of: ({ from }) => from && placed(from) },
        { name: 'To', of: ({ to }) => to && placed(to) },
        { name: 'Sessions', of: ({ sessionCount }) => number(sessionCount), isNumber: true },
        { name: 'Share', of: ({ sessionCount, from }) => share(sessionCount / (from?.sessionCount || 1)), isNumber: true },
      ]}
    >
      <div class="wide" role="region" aria-label="Paths, drawn" tabIndex={0}>
        <Drawing>
          {(room) => {
            const width = Math.max(room, columnCount * LEAST_COLUMN)
            const across = (width - BAR) / columnCount
            const tops = new Map<number, number>()
            for (const column of columns) {
              let top = 0
              for (const { index, sessionCount } of column) {
                tops.set(index, top)
                top += sessionCount * unit + GAP
              }
            }
            const left = (index: number): number => (places[index]?.column ?? 0) * across
            const out = new Map<number, number>()
            const into = new Map<number, number>()
            return (
              <svg width={width} height={HEIGHT} class="sankey" aria-hidden="true">
                {links.map(({ fromPlace, toPlace, sessionCount }) => {
                  const thickness = sessionCount * unit
                  const from = (tops.get(fromPlace) ?? 0) + (out.get(fromPlace) ?? 0)
                  const to = (tops.get(toPlace) ?? 0) + (into.get(toPlace) ?? 0)
                  out.set(fromPlace, (out.get(fromPlace) ?? 0) + thickness)
                  into.set(toPlace, (into.get(toPlace) ?? 0) + thickness)
                  const x = left(fromPlace) + BAR
                  const end = left(toPlace)
                  const middle = (x + end) / 2
                  const kind = places[toPlace]?.kind ?? 'other'
                  return (
                    <path class={`flow ${kind}`} d={`M${x},${from}C${middle},${from} ${middle},${to} ${end},${to}V${to + thickness}C${middle},${to + thickness} ${middle},${from + thickness} ${x},${from + thickness}Z`}>
                      <title>{`${places[fromPlace] ? placed(places[fromPlace]) : ''} → ${places[toPlace] ? placed(places[toPlace]) : ''}: ${counted(sessionCount, 'session')}`}</title>
                    </path>
                  )
                })}
                {places.map((place, index) => (
                  <g>
                    <rect class={`place ${place.kind}`} x={left(index)} y={tops.get(index)} width={BAR} height={Math.max(1, place.sessionCount * unit)} rx="2" />
                    <text x={left(index) + BAR + 4} y={(tops.get(index) ?? 0) + Math.max(6, (place.sessionCount * unit) / 2) + 4}>
                      {shortened(placed(place), Math.floor((across - BAR - 44) / 7))} {number(place.sessionCount)}
                    </text>
                  </g>
                ))}
              </svg>
            )
          }}
        </Drawing>
      </div>
    </Chart>
  )
}

const shortened = (text: string, length: number): string => (text.length > length ? `${text.slice(0, Math.max(1, length - 1))}…` : text)
