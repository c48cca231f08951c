//! The template's loop: takes orders, forks, and waits for the machines that end.

use std::fs::File;
use std::io;
use std::os::fd::{AsFd, OwnedFd};

use rustix::event::{PollFd, PollFlags, poll};
use rustix::io::Errno;
use rustix::process::{Pid, PidfdFlags, Signal, WaitOptions, pidfd_open, waitpid};
use rustix::thread::{LinkNameSpaceType, UnshareFlags, move_into_link_name_space};

use super::enter::{mount_all, unshare};
use super::{Answer, Fork, Order, Preparation, TemplateError, enter, failed, packet};

/// What becomes of a process that was a template.
pub(crate) enum Became {
    /// It was one to its end.
    Nothing,
    /// It is a machine's first process, in its namespaces, and serves this stream.
    Machine(File),
}

/// Takes orders from `control` until it is closed, or until this process is a machine.
pub(crate) fn run(control: OwnedFd) -> Result<Became, TemplateError> {
    // What made this sandbox is gone, and with the first process goes everything. It fails for no signal that there is.
    let _ = rustix::process::set_parent_process_death_signal(Some(Signal::KILL));
    let own = File::open("/proc/self/ns/pid").map_err(failed("open the template's process namespace"))?;
    let preparation = match packet::receive(&control).map_err(failed("read the template's first order"))? {
        None => return Ok(Became::Nothing),
        Some((Order::Prepare(preparation), _)) => preparation,
        Some((Order::Fork(_), _)) => {
            let source = io::Error::from(io::ErrorKind::InvalidData);
            return Err(failed("fork a machine before the template is prepared")(source));
        }
    };
    mount_all(&preparation.mounts)?;
    Template { control, own: own.into(), preparation, machines: Vec::new() }.serve()
}

struct Template {
    control: OwnedFd,
    /// The process namespace that the template is in itself.
    own: OwnedFd,
    preparation: Preparation,
    machines: Vec<(Pid, OwnedFd)>,
}

impl Template {
    fn serve(mut self) -> Result<Became, TemplateError> {
        while self.wait()? {
            let received = packet::receive(&self.control).map_err(failed("read an order"))?;
            let Some((order, descriptors)) = received else { break };
            let mut descriptors = descriptors.into_iter();
            let (Order::Fork(order), Some(stream), Some(log)) =
                (order, descriptors.next(), descriptors.next())
            else {
                let source = io::Error::from(io::ErrorKind::InvalidData);
                return Err(failed("understand an order")(source));
            };
            let network = descriptors.next();
            match self.fork() {
                Ok(Some(machine)) => {
                    let descriptor = machine.1.as_fd();
                    packet::send(&self.control, &Answer::Forked, &[descriptor])
                        .map_err(failed("answer an order"))?;
                    self.machines.push(machine);
                }
                Ok(None) => return self.become_machine(&order, stream, log, network),
                Err(error) => {
                    let message = error.to_string();
                    packet::send(&self.control, &Answer::Failed { message }, &[])
                        .map_err(failed("answer an order"))?;
                }
            }
        }
        // What still runs has no host any more. Waited for, so that what it used counts as used by the template.
        for (pid, _) in &self.machines {
            crate::tree::send(*pid, Signal::KILL);
            let _ = waitpid(Some(*pid), WaitOptions::empty());
        }
        Ok(Became::Nothing)
    }

    /// Waits for the next order, and meanwhile for machines that end; `false` is for ever.
    fn wait(&mut self) -> Result<bool, TemplateError> {
        loop {
            let mut descriptors: Vec<PollFd<'_>> =
                self.machines.iter().map(|(_, machine)| PollFd::new(machine, PollFlags::IN)).collect();
            descriptors.push(PollFd::new(&self.control, PollFlags::IN));
            match poll(&mut descriptors, None) {
                Ok(_) => {}
                Err(Errno::INTR) => continue,
                Err(error) => return Err(failed("wait for orders")(error)),
            }
            let mut events = descriptors.iter().map(|descriptor| !descriptor.revents().is_empty());
            let has_ended: Vec<bool> = events.by_ref().take(self.machines.len()).collect();
            let has_order = events.next().unwrap_or(false);
            drop(events);
            drop(descriptors);
            let mut has_ended = has_ended.into_iter();
            self.machines.retain(|(pid, _)| {
                let is_over = has_ended.next().unwrap_or(false);
                if is_over {
                    // It can only fail for a process that is no child, which this one is until now.
                    let _ = waitpid(Some(*pid), WaitOptions::empty());
                }
                !is_over
            });
            if has_order {
                return Ok(true);
            }
        }
    }

    /// Forks; the parent gets the child, which is the first process of a new process namespace, and the child gets nothing.
    fn fork(&self) -> io::Result<Option<(Pid, OwnedFd)>> {
        unshare(UnshareFlags::NEWPID)?;
        let forked = fork();
        if let Ok(None) = forked {
            return Ok(None);
        }
        // The next fork is of this process's own namespace again, or else there could be no further one.
        move_into_link_name_space(self.own.as_fd(), Some(LinkNameSpaceType::ProcessID))?;
        let Some(pid) = forked? else { return Ok(None) };
        match pidfd_open(pid, PidfdFlags::empty()) {
            Ok(descriptor) => Ok(Some((pid, descriptor))),
            Err(error) => {
                crate::tree::send(pid, Signal::KILL);
                let _ = waitpid(Some(pid), WaitOptions::empty());
                Err(error.into())
            }
        }
    }

    /// In the child: leaves everything of the template behind, its descriptors with `self`.
    fn become_machine(
        self,
        order: &Fork,
        stream: OwnedFd,
        log: OwnedFd,
        network: Option<OwnedFd>,
    ) -> Result<Became, TemplateError> {
        rustix::stdio::dup2_stderr(&log).map_err(failed("open the machine's log"))?;
        enter::enter(&self.preparation, order, network)?;
        Ok(Became::Machine(File::from(stream)))
    }
}

#[expect(unsafe_code, reason = "no safe binding can know that there is one thread")]
fn fork() -> io::Result<Option<Pid>> {
    // SAFETY: the template has one thread, so that no lock and no other state is left half-way in the child.
    match unsafe { libc::fork() } {
        -1 => Err(io::Error::last_os_error()),
        child => Ok(Pid::from_raw(child)),
    }
}
