//! Offsets of kernel struct fields, from the running kernel's BTF, read by libbpf.
//!
//! aya-ebpf has no CO-RE, so the programs read fields at offsets that are set before loading.

use libbpf_rs::btf::types::{Composite, Func, MemberAttr, Typedef};
use libbpf_rs::btf::{Btf, BtfType};

use super::error::KernelError;

/// Offsets in bytes, by the name of the program's global.
pub struct Offsets(pub Vec<(&'static str, u32)>);

/// Which fields the programs read: (global, struct, path of the field).
const FIELDS: &[(&str, &str, &str)] = &[
    ("OFF_WRITE_SEQ", "tcp_sock", "write_seq"),
    ("OFF_SKC_NUM", "sock_common", "skc_num"),
    ("OFF_SKC_COOKIE", "sock_common", "skc_cookie"),
    ("OFF_TASK_FILES", "task_struct", "files"),
    ("OFF_FILES_FDT", "files_struct", "fdt"),
    ("OFF_FDT_FD", "fdtable", "fd"),
    ("OFF_FILE_PRIVATE", "file", "private_data"),
    ("OFF_SOCKET_SK", "socket", "sk"),
    ("OFF_SOCKET_FILE", "socket", "file"),
    ("OFF_REGS_NR", "pt_regs", "orig_ax"),
    ("OFF_REGS_FD", "pt_regs", "di"),
    ("OFF_REGS_FD_OUT", "pt_regs", "dx"),
    ("OFF_TASK_PID", "task_struct", "pid"),
    ("OFF_TASK_TGID", "task_struct", "tgid"),
    ("OFF_SND_NXT", "tcp_sock", "snd_nxt"),
    ("OFF_SND_UNA", "tcp_sock", "snd_una"),
    ("OFF_TOTAL_RETRANS", "tcp_sock", "total_retrans"),
    ("OFF_BYTES_ACKED", "tcp_sock", "bytes_acked"),
    ("OFF_BYTES_SENT", "tcp_sock", "bytes_sent"),
    ("OFF_BYTES_RETRANS", "tcp_sock", "bytes_retrans"),
    ("OFF_BYTES_RECEIVED", "tcp_sock", "bytes_received"),
    ("OFF_RCV_NXT", "tcp_sock", "rcv_nxt"),
    ("OFF_SKC_STATE", "sock_common", "skc_state"),
    ("OFF_MSG_ITER", "msghdr", "msg_iter"),
    ("OFF_ITER_COUNT", "iov_iter", "count"),
    ("OFF_SK_PROTOCOL", "sock", "sk_protocol"),
    ("OFF_ULP_OPS", "inet_connection_sock", "icsk_ulp_ops"),
];

/// Resolves all of them.
///
/// # Errors
/// No readable BTF, or a field that this kernel does not have.
pub fn offsets() -> Result<Offsets, KernelError> {
    let btf = Btf::from_vmlinux().map_err(|e| KernelError::NoBtf(Box::new(e)))?;
    let found = FIELDS.iter().map(|(global, of, field)| {
        let offset = btf
            .type_by_name::<BtfType<'_>>(of)
            .and_then(|t| offset_in(&btf, t, field))
            .ok_or_else(|| KernelError::Btf { field: format!("{of}.{field}") })?;
        Ok((*global, offset))
    });
    found.collect::<Result<_, _>>().map(Offsets)
}

/// Whether this kernel has a tracepoint of that name, for programs that know its arguments' types.
///
/// # Errors
/// No readable BTF.
pub fn has_tracepoint(name: &str) -> Result<bool, KernelError> {
    let btf = Btf::from_vmlinux().map_err(|e| KernelError::NoBtf(Box::new(e)))?;
    // bpf_probe.h: one such type for each.
    Ok(btf.type_by_name::<Typedef<'_>>(&format!("btf_trace_{name}")).is_some())
}

/// Whether this kernel has a function of that name, not inlined.
///
/// # Errors
/// No readable BTF.
pub fn has_function(name: &str) -> Result<bool, KernelError> {
    let btf = Btf::from_vmlinux().map_err(|e| KernelError::NoBtf(Box::new(e)))?;
    Ok(btf.type_by_name::<Func<'_>>(name).is_some())
}

/// Byte offset of `field`, through anonymous structs and unions.
fn offset_in(btf: &Btf<'_>, of: BtfType<'_>, field: &str) -> Option<u32> {
    let composite = Composite::try_from(of.skip_mods_and_typedefs()).ok()?;
    for member in composite.iter() {
        let MemberAttr::Normal { offset: bits } = member.attr else { continue };
        match member.name.and_then(|n| n.to_str()) {
            Some(name) if name == field => return Some(bits / 8),
            Some(name) if !name.is_empty() => {}
            _ => {
                let inner = btf.type_by_id::<BtfType<'_>>(member.ty)?;
                if let Some(at) = offset_in(btf, inner, field) {
                    return Some(bits / 8 + at);
                }
            }
        }
    }
    None
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Reading BTF needs no privileges, so this runs everywhere it exists.
    #[test]
    fn the_running_kernel_has_every_field() {
        let offsets = offsets().expect("this kernel has BTF");
        assert_eq!(offsets.0.len(), FIELDS.len());
        let of = |name| offsets.0.iter().find(|(n, _)| *n == name).expect("listed").1;
        // ABI since x86-64 exists: pt_regs has 14 words before di, orig_ax follows it.
        assert_eq!((of("OFF_REGS_FD"), of("OFF_REGS_NR")), (14 * 8, 15 * 8));
        // struct sock_common begins with the addresses and ports; write_seq is far into tcp_sock.
        assert!(of("OFF_SKC_NUM") < 32 && of("OFF_WRITE_SEQ") > 500);
    }
}
