// How far the readers of the stream have come, jobs, and events that failed, to be mended and sent again.
import { useState } from 'preact/hooks'
import { fetched, Problem } from '../api.ts'
import type { FailedEvent, FailedEvents, Pipeline as Found } from '../answers.ts'
import { Answer, Empty, useAnswer } from '../asking.tsx'
import { Card, Table } from '../parts.tsx'
import { named, seconds, time } from '../words.ts'
import { Jobs } from './jobs.tsx'

const EVERY_SECONDS = 5

export function Pipeline() {
  const pipeline = useAnswer<Found>('/api/pipeline', undefined, EVERY_SECONDS)
  const failed = useAnswer<FailedEvents>('/api/failed-events?limit=50')
  return (
    <div class="grid">
      <Card title="Readers" isWide>
        <Answer of={pipeline}>
          {({ standings }) => (
            <Table
              caption="Readers by shard"
              rows={standings}
              columns={[
                { name: 'Reader', of: ({ reader }) => named(reader) },
                { name: 'Shard', of: ({ shard }) => shard },
                { name: 'Behind', of: ({ lagSeconds }) => seconds(lagSeconds), isNumber: true },
                { name: 'Trouble', of: ({ trouble }) => trouble || 'None' },
                { name: 'Process', of: ({ owner }) => owner || 'none' },
                { name: 'Checkpoint', of: ({ checkpoint }) => <code>{checkpoint}</code> },
              ]}
            />
          )}
        </Answer>
      </Card>
      <Card title="Jobs" isWide><Jobs /></Card>
      <Card title="Failed events" isWide>
        <Answer of={failed}>
          {({ failedEvents }) =>
            failedEvents.length ? (
              <ul class="failures">{failedEvents.map((event) => <Failed key={event.id} event={event} again={failed.again} />)}</ul>
            ) : (
              <Empty>No event failed.</Empty>
            )
          }
        </Answer>
      </Card>
    </div>
  )
}

function Failed({ event, again }: { event: FailedEvent; again: () => void }) {
  const path = `/api/failed-events/${encodeURIComponent(event.id)}`
  const [payload, setPayload] = useState(event.payload)
  const [said, setSaid] = useState('')
  const attempt = async (what: () => Promise<unknown>): Promise<void> => {
    try {
      await what()
    } catch (error) {
      setSaid(error instanceof Problem ? error.message : String(error))
    }
  }
  const act = (body: string | undefined, method: string, to = path): Promise<void> => attempt(() => fetched(to, body, method).then(again))
  const complete = async (): Promise<void> => {
    if (event.isPayloadCut) setPayload((await fetched<FailedEvent>(path)).payload)
  }
  return (
    <li>
      <details onToggle={() => attempt(complete)}>
        <summary><code>{event.reason.toUpperCase()}</code> {time(event.failedTime)} <small>at the {event.stage}</small></summary>
        <p>{event.detail}</p>
        <label>What was sent; mend it here <textarea value={payload} onInput={(input) => setPayload(input.currentTarget.value)} spellcheck={false} /></label>
        <p>
          <button type="button" onClick={() => act(payload, 'POST', `${path}:replay`)}>Send it mended</button>{' '}
          <button type="button" onClick={() => act(undefined, 'POST', `${path}:replay`)}>Send it again as it was</button>{' '}
          <button type="button" onClick={() => act(undefined, 'DELETE')}>Discard it</button>
        </p>
        <p role="status">{said}</p>
      </details>
    </li>
  )
}
