//! Processor time and memory of what is measured, from `/proc`.

use std::collections::{BTreeMap, HashMap};
use std::fs;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use serde::Serialize;

/// How often memory is looked at for its peak.
const SAMPLE_EVERY: Duration = Duration::from_millis(500);
/// The kernel's unit of processor time.
const TICKS_PER_SECOND: f64 = 100.0;

/// A part of what is measured.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Part {
    /// The service's own processes.
    Service,
    /// The database server.
    Postgres,
    /// A broker and a cache.
    Broker,
}

impl Part {
    fn of(command: &str) -> Self {
        match command {
            "postgres" => Self::Postgres,
            "beam.smp" | "erl_child_setup" | "inet_gethost" | "epmd" | "redis-server" => Self::Broker,
            _ => Self::Service,
        }
    }
}

/// What a part used during a run.
#[derive(Debug, Clone, Copy, PartialEq, Serialize)]
pub struct Usage {
    /// Processor time, in percent of one core.
    pub cpu: f64,
    /// The largest resident memory seen, in MiB. Counts what processes share once for each.
    pub rss_peak: f64,
    /// Memory at the end, in MiB, with what is shared divided among those who share it.
    pub pss: f64,
}

/// What was used during a run.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Used {
    /// By part.
    pub parts: BTreeMap<Part, Usage>,
    /// Processor time of the load generator and the stand-in, in percent of one core.
    pub bench_cpu: f64,
    /// Processor time of everything else on the machine, in percent of one core: says how far to trust the run.
    pub other_cpu: f64,
}

struct Process {
    pid: u32,
    parent: u32,
    part: Part,
    /// Seconds of processor time, its own and that of its children that ended.
    cpu: f64,
}

/// Watches the processes below some roots from its making on.
pub struct Watch {
    roots: Vec<u32>,
    begun: Instant,
    cpu: BTreeMap<Part, f64>,
    machine: f64,
    own: f64,
    peaks: Arc<Mutex<BTreeMap<Part, f64>>>,
    sampler: tokio::task::JoinHandle<()>,
}

impl Watch {
    /// Starts watching.
    pub fn begin(roots: Vec<u32>) -> Self {
        let peaks = Arc::new(Mutex::new(BTreeMap::new()));
        let sampler = tokio::spawn({
            let (roots, peaks) = (roots.clone(), peaks.clone());
            async move {
                loop {
                    raise(&peaks, resident(&tree(&roots)));
                    tokio::time::sleep(SAMPLE_EVERY).await;
                }
            }
        });
        let cpu = cpu_by_part(&tree(&roots));
        Self { roots, begun: Instant::now(), cpu, machine: machine_busy(), own: own_cpu(), peaks, sampler }
    }

    /// Ends watching.
    pub fn end(self) -> Used {
        let seconds = self.begun.elapsed().as_secs_f64();
        let percent = |used: f64| used.max(0.0) / seconds * 100.0;
        let processes = tree(&self.roots);
        let after = cpu_by_part(&processes);
        let (machine, own) = (machine_busy() - self.machine, own_cpu() - self.own);
        self.sampler.abort();
        raise(&self.peaks, resident(&processes));
        let pss = by_part(&processes, |process| proportional(process.pid));
        let peaks = self.peaks.lock().unwrap_or_else(PoisonError::into_inner).clone();
        let mut watched = 0.0;
        let mut parts = BTreeMap::new();
        for (part, cpu) in after {
            let used = (cpu - self.cpu.get(&part).copied().unwrap_or_default()).max(0.0);
            watched += used;
            let of = |map: &BTreeMap<Part, f64>| map.get(&part).copied().unwrap_or_default();
            parts.insert(part, Usage { cpu: percent(used), rss_peak: of(&peaks), pss: of(&pss) });
        }
        Used { parts, bench_cpu: percent(own), other_cpu: percent(machine - own - watched) }
    }
}

fn raise(peaks: &Mutex<BTreeMap<Part, f64>>, now: BTreeMap<Part, f64>) {
    let mut peaks = peaks.lock().unwrap_or_else(PoisonError::into_inner);
    for (part, value) in now {
        let peak = peaks.entry(part).or_default();
        *peak = peak.max(value);
    }
}

/// Memory by part, in MiB, with what is shared divided among those who share it.
pub fn memory(roots: &[u32]) -> BTreeMap<Part, f64> {
    by_part(&tree(roots), |process| proportional(process.pid))
}

/// How many entries a folder of a process has, such as `fd` or `task`.
pub fn entries(pid: u32, folder: &str) -> std::io::Result<usize> {
    Ok(fs::read_dir(format!("/proc/{pid}/{folder}"))?.count())
}

/// The roots and everything below them.
fn tree(roots: &[u32]) -> Vec<Process> {
    let pids = fs::read_dir("/proc").into_iter().flatten().flatten();
    let all: Vec<Process> =
        pids.filter_map(|entry| entry.file_name().to_str()?.parse().ok()).filter_map(read_process).collect();
    let mut children: HashMap<u32, Vec<Process>> = HashMap::new();
    let mut found = Vec::new();
    for process in all {
        if roots.contains(&process.pid) {
            found.push(process);
        } else {
            children.entry(process.parent).or_default().push(process);
        }
    }
    let mut next = 0;
    while next < found.len() {
        found.extend(children.remove(&found[next].pid).into_iter().flatten());
        next += 1;
    }
    found
}

/// `None` when the process has ended meanwhile.
fn read_process(pid: u32) -> Option<Process> {
    parse_stat(pid, &fs::read_to_string(format!("/proc/{pid}/stat")).ok()?)
}

fn parse_stat(pid: u32, stat: &str) -> Option<Process> {
    // The command stands in brackets and may hold anything, so that the fields are counted from its end.
    let (command, fields) = stat.split_once('(')?.1.rsplit_once(')')?;
    let fields: Vec<&str> = fields.split_whitespace().collect();
    let ticks: f64 = fields.get(11..15)?.iter().filter_map(|field| field.parse::<f64>().ok()).sum();
    Some(Process { pid, parent: fields.get(1)?.parse().ok()?, part: Part::of(command), cpu: ticks / TICKS_PER_SECOND })
}

fn by_part(processes: &[Process], value: impl Fn(&Process) -> f64) -> BTreeMap<Part, f64> {
    let mut sums = BTreeMap::new();
    for process in processes {
        *sums.entry(process.part).or_default() += value(process);
    }
    sums
}

fn cpu_by_part(processes: &[Process]) -> BTreeMap<Part, f64> {
    by_part(processes, |process| process.cpu)
}

fn resident(processes: &[Process]) -> BTreeMap<Part, f64> {
    by_part(processes, |process| mebibytes(process.pid, "status", "VmRSS:"))
}

fn proportional(pid: u32) -> f64 {
    mebibytes(pid, "smaps_rollup", "Pss:")
}

/// A line `key value kB` of a file of a process; 0 when it has ended.
fn mebibytes(pid: u32, file: &str, key: &str) -> f64 {
    let text = fs::read_to_string(format!("/proc/{pid}/{file}")).unwrap_or_default();
    let value = text.lines().find_map(|line| line.strip_prefix(key)?.split_whitespace().next()?.parse::<f64>().ok());
    value.unwrap_or_default() / 1024.0
}

/// Seconds that all processors were busy since the machine started, time taken by the host included.
fn machine_busy() -> f64 {
    let stat = fs::read_to_string("/proc/stat").unwrap_or_default();
    let first = stat.lines().next().unwrap_or_default();
    let fields: Vec<f64> = first.split_whitespace().skip(1).filter_map(|field| field.parse().ok()).collect();
    // user, nice, system, irq, softirq, steal; not idle and iowait.
    [0, 1, 2, 5, 6, 7].iter().filter_map(|index| fields.get(*index)).sum::<f64>() / TICKS_PER_SECOND
}

fn own_cpu() -> f64 {
    // Children that ended are not its own work.
    let stat = fs::read_to_string("/proc/self/stat").unwrap_or_default();
    let fields = stat.rsplit_once(')').map(|(_, fields)| fields).unwrap_or_default();
    let ticks = fields.split_whitespace().skip(11).take(2).filter_map(|field| field.parse::<f64>().ok());
    ticks.sum::<f64>() / TICKS_PER_SECOND
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_process_is_read_whatever_its_name() {
        let stat = "42 (a (b) c) S 7 42 42 0 -1 4194304 1 0 0 0 150 50 30 20 20 0 1 0 100 1 1";
        let process = parse_stat(42, stat).unwrap();
        assert_eq!((process.parent, process.part), (7, Part::Service));
        assert!((process.cpu - 2.5).abs() < 1e-9, "{}", process.cpu);
        assert_eq!(Part::of("postgres"), Part::Postgres);
    }

    #[tokio::test]
    async fn this_process_uses_memory() {
        let used = Watch::begin(vec![std::process::id()]).end();
        let usage = used.parts[&Part::Service];
        assert!(usage.rss_peak > 1.0 && usage.pss > 0.1, "{usage:?}");
    }
}
