// Help: what was offered, what came of it, what it changed, what it costs, and by which policy.
import type { Kpis, Lifts, Policies, Trend, Usage } from '../answers.ts'
import { Answer, DEMO, Empty, useAnswer } from '../asking.tsx'
import { Bars } from '../charts/bars.tsx'
import { Intervals } from '../charts/intervals.tsx'
import { Lines } from '../charts/lines.tsx'
import { Card, Receipt } from '../parts.tsx'
import { days, since } from '../route.ts'
import { Costs } from './costs.tsx'
import { Earned } from './earned.tsx'
import { named, number, share, time } from '../words.ts'

const STAGES = ['offered', 'shown', 'accepted', 'converted', 'declined']

export function Help() {
  const window = since()
  const interval = days.value === 1 ? 'hour' : 'day'
  const trend = { measure: 'offered', breakdown: 'channel', interval, window }
  const kpis = useAnswer<Kpis>('/api/analytics/kpis', { window })
  const offered = useAnswer<Trend>('/api/analytics/trends', trend)
  const lifts = useAnswer<Lifts>('/api/lift')
  const policies = useAnswer<Policies>('/api/policies')
  const usage = useAnswer<Usage>('/api/models/usage')
  return (
    <div class="grid">
      <Card title="What came of it">
        <Answer of={kpis}>
          {({ kpis: found, receipt }) => {
            const bars = STAGES.map((stage) => ({ name: named(stage), value: found.find(({ name }) => name === stage)?.value ?? 0 }))
            const [all, , accepted] = bars
            return (
              <>
                {all?.value ? <Bars title="What came of help" bars={bars} summary={`${number(accepted?.value ?? 0)} of ${number(all.value)} offers were accepted, ${share((accepted?.value ?? 0) / all.value)}.`} /> : <Empty command={DEMO}>No help was offered in these days. To see a mesh at work:</Empty>}
                <Receipt of={receipt} question="kpis" body={{ window }} />
              </>
            )
          }}
        </Answer>
      </Card>
      <Card title="What it changed">
        <Answer of={lifts}>
          {({ lifts: found, experiment, sampleRatioPValue }) => (
            <>
              <Intervals lifts={found} />
              <p class="small">
                Experiment {experiment}. {sampleRatioPValue < 0.01 ? `The groups are not of the sizes they should have (p = ${number(sampleRatioPValue)}): do not trust the figures.` : 'The groups have the sizes they should have.'}
              </p>
              {!found.some(({ holdoutCount }) => holdoutCount) && <Empty command="JOURNEYMESH_POLICY=policies/measured.yaml make run">Nobody is held out, so nothing can be compared. This policy leaves one user in ten without help:</Empty>}
            </>
          )}
        </Answer>
      </Card>
      <Earned />
      <Costs />
      <Card title="Offers by channel" isWide>
        <Answer of={offered}>
          {({ series, receipt }) => (
            <>
              {series.some(({ total }) => total) ? <Lines title="Offers by channel" series={series.map((each) => ({ ...each, name: named(each.name) }))} interval={interval} /> : <Empty>No help was offered.</Empty>}
              <Receipt of={receipt} question="trends" body={trend} />
            </>
          )}
        </Answer>
      </Card>
      <Card title="Language models">
        <Answer of={usage}>
          {(found) =>
            found.isOn ? (
              <Bars
                title="Language models"
                bars={found.models.map(({ modelId, costMicroUsd, isCostUnknown, callCounts }) => ({ name: modelId, value: Object.values(callCounts).reduce((sum, count) => sum + count, 0), note: isCostUnknown ? 'cost not known' : `$${(costMicroUsd / 1e6).toFixed(4)}` }))}
                summary={`$${(found.costMicroUsd / 1e6).toFixed(4)} of $${number(found.costLimitMicroUsd / 1e6)} and ${number(found.tokenCount)} of ${number(found.tokenLimit)} tokens are spent today.`}
              />
            ) : (
              <p class="note">No language model is used: messages come from the catalogue, and cost nothing.</p>
            )
          }
        </Answer>
      </Card>
      <Card title="The policy">
        <Answer of={policies}>
          {({ policies: found }) => (
            <>
              {found.map(({ version, startTime, document }, index) => (
                <details>
                  <summary>{version} <small>{Date.parse(startTime) ? `from ${time(startTime)}` : 'from the start'}{index === 0 ? ', the newest' : ''}</small></summary>
                  <pre tabIndex={0}>{document}</pre>
                </details>
              ))}
            </>
          )}
        </Answer>
      </Card>
    </div>
  )
}
