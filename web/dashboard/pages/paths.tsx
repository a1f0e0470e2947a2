// The ways sessions take.
import type { Paths as Found } from '../answers.ts'
import { Answer, DEMO, Empty, useAnswer } from '../asking.tsx'
import { Sankey } from '../charts/sankey.tsx'
import { Card, Choice, Receipt } from '../parts.tsx'
import { conditions } from '../filters.tsx'
import { changed, go, parameter, since } from '../route.ts'
import { segment } from '../segments.tsx'

export function Paths() {
  const direction = parameter('direction') || 'forward'
  const place = parameter('place') || 'page'
  const start = parameter('from')
  const body = { window: since(), direction, place, startPlace: start, where: conditions(), ...segment(), columnCount: 4, placeCount: 6 }
  const paths = useAnswer<Found>('/api/analytics/paths', body)
  return (
    <Card
      title="Paths"
      isWide
      side={
        <div class="find">
          <Choice label="Look" name="direction" value={direction} options={['forward', 'backward']} />
          <Choice label="by" name="place" value={place} options={['page', 'target', 'event_type']} />
          <label class="choice">from <input value={start} placeholder="where sessions begin" onChange={(event) => go(changed({ from: event.currentTarget.value }))} /></label>
        </div>
      }
    >
      <Answer of={paths}>
        {(found) => (
          <>
            {found.places.some(({ sessionCount }) => sessionCount) ? <Sankey paths={found} /> : <Empty command={DEMO}>No session went this way in these days. To see a mesh at work:</Empty>}
            <Receipt of={found.receipt} question="paths" body={body} />
          </>
        )}
      </Answer>
    </Card>
  )
}
