// Jobs over everything that is archived: how far they are and what came of them; starts and cancels them, and saves the file that one wrote.
import { useState } from 'preact/hooks'
import { fetched, Problem } from '../api.ts'
import { Answer, Empty, useAnswer } from '../asking.tsx'
import { Table } from '../parts.tsx'
import { counted, named, share, time } from '../words.ts'

interface Job {
  jobId: string
  kind: string
  state: string
  step: string
  progress: number
  createdTime: string
  reason: string
  detail: string
  counts: Record<string, number>
  model: { modelVersion: string; isLive: boolean; gate: string } | null
}

interface Listed {
  jobs: Job[]
  refusedKinds?: { kind: string; detail: string }[]
}

const EVERY_SECONDS = 2
const EXPORT = 'customers_export'
const KINDS = ['customers_fit', EXPORT, 'model_training']

export function Jobs() {
  const listed = useAnswer<Listed>('/api/jobs', undefined, EVERY_SECONDS)
  const [said, setSaid] = useState('')
  const act = async (path: string, body: object): Promise<void> => {
    setSaid('')
    try {
      await fetched(path, body)
      listed.again()
    } catch (error) {
      setSaid(error instanceof Problem ? error.message : String(error))
    }
  }
  return (
    <>
      <Answer of={listed}>
        {({ jobs, refusedKinds = [] }) => <>
          {jobs.length === 0 ? <Empty>No job was started yet.</Empty> : <Table
            caption="Jobs, newest first"
            rows={jobs}
            columns={[
              { name: 'Job', of: ({ kind }) => named(kind) },
              { name: 'State', of: ({ state }) => named(state) },
              { name: 'Progress', of: (job) => isOpen(job) ? <><progress value={job.progress} aria-label={named(job.kind)} /> {share(job.progress)} {job.step}</> : result(job) },
              { name: 'Asked for', of: ({ createdTime }) => time(createdTime) },
              { name: 'Act', of: (job) => isOpen(job)
                ? <button type="button" onClick={() => act(`/api/jobs/${job.jobId}:cancel`, {})}>Cancel</button>
                : job === lastFile(jobs) && <a href={`/api/jobs/${job.jobId}/file`} download>Download</a> },
            ]}
          />}
          <p>{KINDS.map((kind) => {
            const isRefused = refusedKinds.some((refused) => refused.kind === kind)
            const why = isRefused ? `why-not-${kind}` : undefined
            return <button type="button" disabled={isRefused} aria-describedby={why} onClick={() => act('/api/jobs', { kind })}>Start {spoken(kind)}</button>
          })}</p>
          {refusedKinds.map(({ kind, detail }) => <p id={`why-not-${kind}`}>No {spoken(kind)}: {detail}</p>)}
        </>}
      </Answer>
      {said && <p role="alert">{said}</p>}
    </>
  )
}

const spoken = (kind: string): string => kind.replaceAll('_', ' ')

const isOpen = ({ state }: Job): boolean => state === 'queued' || state === 'running'

/** The job whose file is kept, if it is not a day old: only the last one is. */
const lastFile = (jobs: Job[]): Job | undefined => jobs.find(({ kind, state }) => kind === EXPORT && state === 'done')

const result = ({ detail, counts, model }: Job): string => model
  ? `${model.modelVersion} is ${model.isLive ? 'live' : 'a candidate'}; gate: ${named(model.gate).toLowerCase()}`
  : Object.entries(counts).map(([name, count]) => counted(count, name, name)).join(', ') || detail
