// What the exit risk rests on: the live model, how its scores have moved, and its card.
import type { Features, Kpi, Kpis, Model as Live } from '../answers.ts'
import { Answer, Empty, useAnswer } from '../asking.tsx'
import { stability } from '../drift.ts'
import { Markdown } from '../markdown.tsx'
import { Card, Level, Receipt, Table } from '../parts.tsx'
import { since } from '../route.ts'
import { counted, named, number, share, time } from '../words.ts'

const LEVELS = ['low', 'medium', 'high', 'critical']

const learned = (state: string, users: number): string => {
  if (state === 'cold_start') return 'it orders users, and tells no probability yet'
  if (state === 'recalibrated') return `it learned from others, and its probabilities were set right on ${counted(users, 'user')} of yours`
  return `learned from ${counted(users, 'user')} of yours`
}

export function Model() {
  const window = since()
  const live = useAnswer<Live>('/api/models/live/card')
  const features = useAnswer<Features>('/api/features')
  const kpis = useAnswer<Kpis>('/api/analytics/kpis', { window })
  return (
    <div class="grid">
      <Card title="In force">
        <Answer of={live}>
          {({ modelVersion, trainingSource, trainingTime, featureSchemaVersion, outcome, learningState, ownUserCount }) => (
            <dl class="facts">
              <dt>Model</dt><dd><code>{modelVersion}</code></dd>
              <dt>State</dt><dd>{learningState ? `${named(learningState)}: ${learned(learningState, ownUserCount)}` : 'not known'}</dd>
              <dt>Outcome</dt><dd>{outcome || 'not known'}</dd>
              <dt>Trained on</dt><dd><code>{trainingSource}</code></dd>
              <dt>Trained</dt><dd>{time(trainingTime)}</dd>
              <dt>Features</dt><dd><code>{featureSchemaVersion}</code></dd>
            </dl>
          )}
        </Answer>
      </Card>
      <Card title="Have its scores moved?">
        <Answer of={kpis}>
          {({ kpis: found, receipt }) => (
            <>
              <Drift levels={LEVELS.map((level) => found.find(({ name, of }) => name === 'users_at_level' && of === level))} />
              <Receipt of={receipt} question="kpis" body={{ window }} />
            </>
          )}
        </Answer>
      </Card>
      <Card title="Its card" isWide>
        <Answer of={live}>{({ card }) => <Markdown text={card} />}</Answer>
      </Card>
      <Card title="What it looks at" isWide>
        <Answer of={features}>
          {({ definitions }) => (
            <Table
              caption="Features"
              rows={definitions}
              columns={[
                { name: 'Feature', of: ({ name }) => <code>{name}</code> },
                { name: 'Meaning', of: ({ meaning }) => meaning },
                { name: 'Unit', of: ({ unit }) => unit },
                { name: 'Window', of: ({ window: span }) => span },
              ]}
            />
          )}
        </Answer>
      </Card>
    </div>
  )
}

function Drift({ levels }: { levels: readonly (Kpi | undefined)[] }) {
  const now = levels.map((each) => each?.value ?? 0)
  const before = levels.map((each) => each?.previousValue ?? 0)
  const all = { now: sum(now), before: sum(before) }
  if (!all.now || !all.before) return <Empty>There are no scores of both these days and as many days before.</Empty>
  const index = stability(before, now)
  const verdict = index < 0.1 ? 'They are as before' : index < 0.25 ? 'They have moved a little' : 'They have moved: look for a change of the product, its users or its events'
  return (
    <>
      <p class="score"><b>{index.toFixed(2)}</b> population stability index</p>
      <p>{verdict}. Below 0.1 is usual, above 0.25 is not. It compares the latest levels of {number(all.now)} users with those of {number(all.before)} in as many days before.</p>
      <Table
        caption="Users by level"
        rows={LEVELS.map((level, at) => ({ level, now: now[at] ?? 0, before: before[at] ?? 0 }))}
        columns={[
          { name: 'Level', of: ({ level }) => <Level level={level} /> },
          { name: 'These days', of: (row) => `${number(row.now)} (${share(row.now / all.now)})`, isNumber: true },
          { name: 'Before', of: (row) => `${number(row.before)} (${share(row.before / all.before)})`, isNumber: true },
        ]}
      />
    </>
  )
}

const sum = (counts: readonly number[]): number => counts.reduce((one, other) => one + other, 0)
