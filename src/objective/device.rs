//! What computes: the processor's vectors, Burn's `flex` on the CPU, or a GPU through wgpu.

use std::fmt;

use burn::tensor::Device;
use burn_wgpu::graphics::AutoGraphicsApi;
use burn_wgpu::{RuntimeOptions, WgpuDevice, WgpuSetup};
use cubecl_environment::environment;
use cubecl_environment::persistence::CacheConfig;

use super::lanes::{self, Instructions};
use crate::error::{Error, Result};

/// Name of Burn's CPU device.
pub const FLEX_NAME: &str = "flex (CPU)";

/// What the person asked for.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, clap::ValueEnum)]
pub enum DeviceChoice {
    /// A real GPU if there is one, otherwise the CPU.
    #[default]
    Auto,
    /// The CPU, with this program's own loops over its vectors.
    Cpu,
    /// The CPU, with Burn's tensors: slower, and what the other is tested against.
    Flex,
    /// The GPU, or whatever stands in for one (a software rasterizer, too).
    Wgpu,
}

/// A device ready for tensors.
#[derive(Clone)]
pub struct Compute {
    device: Device,
    name: String,
    graphics: Option<WgpuSetup>,
    instructions: Option<Instructions>,
}

impl fmt::Debug for Compute {
    fn fmt(&self, formatter: &mut fmt::Formatter) -> fmt::Result {
        formatter.write_str(&self.name)
    }
}

impl Compute {
    /// The CPU, with the widest vectors it has.
    pub fn cpu() -> Self {
        Self::vectors(Instructions::best())
    }

    /// The CPU once for every set of vector instructions that it has: they differ in rounding only.
    pub fn cpus() -> Vec<Self> {
        Instructions::available().into_iter().map(Self::vectors).collect()
    }

    fn vectors(instructions: Instructions) -> Self {
        Self {
            device: Device::flex(),
            name: format!("cpu ({})", instructions.name()),
            graphics: None,
            instructions: Some(instructions),
        }
    }

    /// The CPU, with Burn's tensors.
    pub fn flex() -> Self {
        Self {
            device: Device::flex(),
            name: FLEX_NAME.to_owned(),
            graphics: None,
            instructions: None,
        }
    }

    /// Opens the device that was asked for. `auto` never chooses a software rasterizer, which is some ten times
    /// slower than the CPU device.
    ///
    /// # Errors
    /// [`Error::Device`] when a GPU was demanded and there is none.
    pub fn open(choice: DeviceChoice) -> Result<Self> {
        match choice {
            DeviceChoice::Cpu => Ok(Self::cpu()),
            DeviceChoice::Flex => Ok(Self::flex()),
            DeviceChoice::Wgpu => Self::wgpu(),
            DeviceChoice::Auto if has_gpu() => Self::wgpu().or_else(|error| {
                tracing::warn!("{error}; using the CPU");
                Ok(Self::cpu())
            }),
            DeviceChoice::Auto => Ok(Self::cpu()),
        }
    }

    fn wgpu() -> Result<Self> {
        // Which kernels are the fastest here is found out once, not at every start.
        environment::set_root(CacheConfig::Global.root());
        let device = WgpuDevice::default();
        let setup = burn_wgpu::try_init_setup::<AutoGraphicsApi>(&device, RuntimeOptions::default())
            .map_err(|error| Error::Device(format!("no GPU could be opened ({error}); use --device cpu")))?;
        let info = setup.adapter.get_info();
        Ok(Self {
            device: Device::from(device),
            name: format!("wgpu ({}, {})", info.name, info.backend),
            graphics: Some(setup),
            instructions: None,
        })
    }

    /// Burn's device.
    pub fn device(&self) -> &Device {
        &self.device
    }

    /// Name for people and files, such as `flex (CPU)`.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// Floating-point operations a second that the processor's vectors do at most, measured for `duration`; none where
    /// tensors compute.
    pub fn peak(&self, duration: std::time::Duration) -> Option<f64> {
        self.instructions
            .map(|instructions| lanes::peak::measure(instructions, duration))
    }

    /// The vector instructions, where tensors are only the fallback.
    pub(super) fn instructions(&self) -> Option<Instructions> {
        self.instructions
    }

    /// The wgpu handles, where tensors are on a GPU: the window draws with the same ones.
    pub fn graphics(&self) -> Option<&WgpuSetup> {
        self.graphics.as_ref()
    }
}

/// Whether there is a GPU that is not a software rasterizer.
fn has_gpu() -> bool {
    let instance = wgpu::Instance::new(wgpu::InstanceDescriptor::new_without_display_handle());
    let adapters = pollster::block_on(instance.enumerate_adapters(wgpu::Backends::PRIMARY));
    adapters.iter().any(|adapter| {
        matches!(
            adapter.get_info().device_type,
            wgpu::DeviceType::DiscreteGpu | wgpu::DeviceType::IntegratedGpu | wgpu::DeviceType::VirtualGpu
        )
    })
}
