//! A root from a container image: an OCI image layout or a docker archive, in one tar file.
//!
//! Reads what `skopeo copy`, `podman save`, `docker save` and `umoci` write (OCI image
//! specification 1.1: layout, index, manifest, config, layers). Every blob is checked against
//! its digest, every layer also against the configuration's. Never asks a registry, runs
//! nothing, and writes nothing to disk.

use super::unpack::{Refused, Room, Rules, Unpacker};
use crate::archive::Tree;
use crate::kernel::hex;
use crate::limits;
use serde::Deserialize;
use serde::de::DeserializeOwned;
use sha2::{Digest, Sha256};
use std::collections::BTreeMap;
use std::fmt;
use std::io::{self, Read, Seek, SeekFrom};

/// Why an archive is no usable image.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Fault {
    /// It cannot be read, or is no tar archive.
    Archive(String),
    /// It is packed as a whole.
    Packed(&'static str),
    /// It is neither an OCI layout nor a docker archive.
    NoImage,
    /// It holds several images, so many.
    Several(usize),
    /// No image in it is for the nodes' kind of machine.
    OtherMachine,
    /// A file that another one names is not there.
    Lost(String),
    /// A file is too large for what it is.
    TooLarge(String),
    /// A file is not what its name promises.
    Json(String, String),
    /// A digest of a kind that is not known.
    UnknownDigest(String),
    /// The content is not what the digest promises.
    Digest(String),
    /// Layers and their digests do not go together, or are too many.
    Layers(usize),
    /// An entry of a layer is refused.
    Layer(String, Refused),
}

impl fmt::Display for Fault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Archive(why) => write!(f, "it is no tar archive: {why}"),
            Self::Packed(tool) => write!(f, "it is packed as a whole; unpack it with {tool} first"),
            Self::NoImage => {
                f.write_str("it holds neither index.json (OCI) nor manifest.json (docker)")
            }
            Self::Several(count) => write!(f, "it holds {count} images; save one alone"),
            Self::OtherMachine => f.write_str("no image in it is for linux on amd64"),
            Self::Lost(name) => write!(f, "it names {name}, which is not in it"),
            Self::TooLarge(name) => write!(f, "{name} is too large"),
            Self::Json(name, why) => write!(f, "{name} cannot be understood: {why}"),
            Self::UnknownDigest(digest) => write!(f, "the digest {digest} is of an unknown kind"),
            Self::Digest(name) => write!(f, "{name} is not what its digest promises"),
            Self::Layers(count) => write!(
                f,
                "its {count} layers are more than {}, or not those of its configuration",
                limits::LAYERS
            ),
            Self::Layer(name, why) => write!(f, "layer {name}: {why}"),
        }
    }
}

impl std::error::Error for Fault {}

/// How an image says that it is started.
#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "PascalCase", default)]
pub struct Run {
    /// `user`, `user:group`, by name or number.
    pub user: Option<String>,
    /// `NAME=value`.
    pub env: Option<Vec<String>>,
    /// The command and its fixed arguments.
    pub entrypoint: Option<Vec<String>>,
    /// More arguments, or the command.
    pub cmd: Option<Vec<String>>,
    /// Where it starts.
    pub working_dir: Option<String>,
}

/// An image, unpacked.
#[derive(Debug)]
pub struct Image {
    /// Its files.
    pub tree: Tree,
    /// How it is started.
    pub run: Run,
    /// What it calls itself, when it does.
    pub name: Option<String>,
    /// Digest of its configuration, which names its layers: `sha256:…`.
    pub digest: String,
    /// Digests of its unpacked layers.
    pub layers: Vec<String>,
}

#[derive(Debug, Deserialize)]
struct Index {
    manifests: Vec<Descriptor>,
}

#[derive(Clone, Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
struct Descriptor {
    #[serde(default)]
    media_type: String,
    digest: String,
    #[serde(default)]
    platform: Option<Platform>,
    #[serde(default)]
    annotations: BTreeMap<String, String>,
}

#[derive(Clone, Debug, Deserialize)]
struct Platform {
    #[serde(default)]
    os: String,
    #[serde(default)]
    architecture: String,
}

#[derive(Debug, Deserialize)]
struct Manifest {
    config: Descriptor,
    layers: Vec<Descriptor>,
}

#[derive(Debug, Deserialize)]
#[serde(rename_all = "PascalCase")]
struct Saved {
    config: String,
    #[serde(default)]
    repo_tags: Option<Vec<String>>,
    layers: Vec<String>,
}

#[derive(Debug, Deserialize)]
struct Config {
    #[serde(default)]
    os: String,
    #[serde(default)]
    architecture: String,
    #[serde(default)]
    config: Option<Run>,
    rootfs: RootFs,
}

#[derive(Debug, Deserialize)]
struct RootFs {
    diff_ids: Vec<String>,
}

/// Reads an image. `step` hears of each layer: its number from 1, and how many there are.
///
/// # Errors
/// What is wrong with it.
pub fn read(
    archive: &mut (impl Read + Seek),
    mut step: impl FnMut(usize, usize),
) -> Result<Image, Fault> {
    let mut archive = Archive::open(archive)?;
    let chosen = if archive.has("index.json") {
        archive.layout()?
    } else if archive.has("manifest.json") {
        archive.saved()?
    } else {
        return Err(Fault::NoImage);
    };
    let Chosen {
        name,
        config_file,
        config_digest,
        layers,
    } = chosen;
    let bytes = archive.small(&config_file)?;
    let digest = format!("sha256:{}", hex(&Sha256::digest(&bytes)));
    if config_digest.is_some_and(|promised| promised != digest) {
        return Err(Fault::Digest(config_file));
    }
    let config: Config = json(&config_file, &bytes)?;
    if config.os != "linux" || config.architecture != "amd64" {
        return Err(Fault::OtherMachine);
    }
    let promised = config.rootfs.diff_ids;
    if layers.len() != promised.len() || layers.len() > limits::LAYERS {
        return Err(Fault::Layers(layers.len()));
    }
    let mut tree = Tree::default();
    let mut room = Room::default();
    let total = layers.len();
    for (position, (layer, promised)) in layers.iter().zip(&promised).enumerate() {
        step(position + 1, total);
        archive.layer(layer, promised, &mut tree, &mut room)?;
    }
    Ok(Image {
        tree,
        run: config.config.unwrap_or_default(),
        name,
        digest,
        layers: promised,
    })
}

/// Which files of the archive make the image.
struct Chosen {
    name: Option<String>,
    config_file: String,
    config_digest: Option<String>,
    layers: Vec<Blob>,
}

/// A file of the archive, and what its digest must be.
struct Blob {
    file: String,
    digest: Option<String>,
}

/// The archive's own files, by name.
struct Archive<'a, R> {
    reader: &'a mut R,
    files: BTreeMap<String, (u64, u64)>,
    links: BTreeMap<String, String>,
}

impl<'a, R: Read + Seek> Archive<'a, R> {
    fn open(reader: &'a mut R) -> Result<Self, Fault> {
        let broken = |error: io::Error| Fault::Archive(error.to_string());
        let mut magic = Vec::new();
        reader
            .by_ref()
            .take(4)
            .read_to_end(&mut magic)
            .map_err(broken)?;
        match Packing::of(&magic) {
            Packing::Gzip => return Err(Fault::Packed("gunzip")),
            Packing::Zstd => return Err(Fault::Packed("unzstd")),
            Packing::None => {}
        }
        reader.rewind().map_err(broken)?;
        let (mut files, mut links) = (BTreeMap::new(), BTreeMap::new());
        let mut tar = tar::Archive::new(&mut *reader);
        for entry in tar.entries_with_seek().map_err(broken)? {
            let entry = entry.map_err(broken)?;
            let name = String::from_utf8_lossy(&entry.path_bytes()).into_owned();
            let name = name.trim_start_matches("./").to_owned();
            if files.len() + links.len() >= limits::ARCHIVE_ENTRIES {
                return Err(Fault::TooLarge("the list of its files".into()));
            }
            let kind = entry.header().entry_type();
            if kind.is_file() {
                files.insert(name, (entry.raw_file_position(), entry.size()));
            } else if kind.is_symlink() || kind.is_hard_link() {
                let target = entry.link_name_bytes().unwrap_or_default();
                links.insert(name, String::from_utf8_lossy(&target).into_owned());
            }
        }
        Ok(Self {
            reader,
            files,
            links,
        })
    }

    fn has(&self, name: &str) -> bool {
        self.files.contains_key(name)
    }

    /// Place and size of a file. Docker writes a layer that comes twice as a link to the first.
    fn place(&self, name: &str) -> Result<(u64, u64), Fault> {
        let lost = || Fault::Lost(name.to_owned());
        if let Some(place) = self.files.get(name) {
            return Ok(*place);
        }
        let target = self.links.get(name).ok_or_else(lost)?;
        let inside = target.trim_start_matches("../");
        self.files.get(inside).copied().ok_or_else(lost)
    }

    fn open_file(&mut self, name: &str) -> Result<io::Take<&mut R>, Fault> {
        let (place, size) = self.place(name)?;
        let broken = |error: io::Error| Fault::Archive(error.to_string());
        self.reader.seek(SeekFrom::Start(place)).map_err(broken)?;
        Ok(self.reader.take(size))
    }

    /// A file that is to be understood.
    fn small(&mut self, name: &str) -> Result<Vec<u8>, Fault> {
        if self.place(name)?.1 > limits::JSON_BYTES {
            return Err(Fault::TooLarge(name.to_owned()));
        }
        let mut bytes = Vec::new();
        let read = self.open_file(name)?.read_to_end(&mut bytes);
        read.map_err(|error| Fault::Archive(error.to_string()))?;
        Ok(bytes)
    }

    /// A small blob of a layout, checked.
    fn blob(&mut self, digest: &str) -> Result<(String, Vec<u8>), Fault> {
        let file = blob_file(digest)?;
        let bytes = self.small(&file)?;
        if format!("sha256:{}", hex(&Sha256::digest(&bytes))) != digest {
            return Err(Fault::Digest(file));
        }
        Ok((file, bytes))
    }

    /// The image of an OCI layout.
    fn layout(&mut self) -> Result<Chosen, Fault> {
        let bytes = self.small("index.json")?;
        let mut index: Index = json("index.json", &bytes)?;
        for _ in 0..limits::INDEX_DEPTH {
            let chosen = one(index.manifests)?;
            let (file, bytes) = self.blob(&chosen.digest)?;
            if chosen.media_type.ends_with("index.v1+json")
                || chosen.media_type.ends_with("manifest.list.v2+json")
            {
                index = json(&file, &bytes)?;
                continue;
            }
            let manifest: Manifest = json(&file, &bytes)?;
            let layer = |layer: &Descriptor| {
                Ok(Blob {
                    file: blob_file(&layer.digest)?,
                    digest: Some(layer.digest.clone()),
                })
            };
            let known = [
                "io.containerd.image.name",
                "org.opencontainers.image.ref.name",
            ];
            return Ok(Chosen {
                name: known
                    .iter()
                    .find_map(|key| chosen.annotations.get(*key))
                    .cloned(),
                config_file: blob_file(&manifest.config.digest)?,
                config_digest: Some(manifest.config.digest.clone()),
                layers: manifest
                    .layers
                    .iter()
                    .map(layer)
                    .collect::<Result<_, Fault>>()?,
            });
        }
        Err(Fault::TooLarge("the nest of its indexes".into()))
    }

    /// The image of a docker archive.
    fn saved(&mut self) -> Result<Chosen, Fault> {
        let bytes = self.small("manifest.json")?;
        let mut images: Vec<Saved> = json("manifest.json", &bytes)?;
        if images.len() > 1 {
            return Err(Fault::Several(images.len()));
        }
        let image = images.pop().ok_or(Fault::NoImage)?;
        let stem = image.config.trim_end_matches(".json");
        let stem = stem.rsplit('/').next().unwrap_or(stem);
        let hashed = stem.len() == 64 && stem.bytes().all(|c| c.is_ascii_hexdigit());
        let layers = image
            .layers
            .into_iter()
            .map(|file| Blob { file, digest: None });
        Ok(Chosen {
            name: image.repo_tags.and_then(|tags| tags.into_iter().next()),
            config_digest: hashed.then(|| format!("sha256:{stem}")),
            config_file: image.config,
            layers: layers.collect(),
        })
    }

    /// Unpacks one layer and checks it.
    fn layer(
        &mut self,
        layer: &Blob,
        promised: &str,
        tree: &mut Tree,
        room: &mut Room,
    ) -> Result<(), Fault> {
        let broken = |error: io::Error| Fault::Archive(error.to_string());
        if let Some(digest) = &layer.digest {
            let mut file = Hashed::new(self.open_file(&layer.file)?, u64::MAX);
            io::copy(&mut file, &mut io::sink()).map_err(broken)?;
            if file.digest() != *digest {
                return Err(Fault::Digest(layer.file.clone()));
            }
        }
        let mut magic = Vec::new();
        self.open_file(&layer.file)?
            .take(4)
            .read_to_end(&mut magic)
            .map_err(broken)?;
        let file = io::BufReader::new(self.open_file(&layer.file)?);
        let unpacked: Box<dyn Read + '_> = match Packing::of(&magic) {
            Packing::None => Box::new(file),
            Packing::Gzip => Box::new(flate2::bufread::MultiGzDecoder::new(file)),
            Packing::Zstd => Box::new(zstd::Decoder::with_buffer(file).map_err(broken)?),
        };
        // Headers and padding come on top of what the root may have.
        let mut unpacked = Hashed::new(
            unpacked,
            room.bytes().saturating_mul(2).saturating_add(1 << 20),
        );
        let refuse = |why: Refused| Fault::Layer(short(promised), why);
        let origin = format!("layer {promised}");
        Unpacker::new(tree, room, Rules::Layer, &origin)
            .archive((&mut unpacked).chain(io::repeat(0).take(END)))
            .map_err(refuse)?;
        io::copy(&mut unpacked, &mut io::sink())
            .map_err(|error| refuse(Refused::Damaged(error.to_string())))?;
        if unpacked.digest() != *promised {
            return Err(Fault::Digest(short(promised)));
        }
        Ok(())
    }
}

/// Zero bytes that end an archive, and fill its last block. Some tools leave them out
/// (umoci insert); a layer that was cut off is told by its digest.
const END: u64 = 2048;

/// The one image for the nodes' kind of machine.
fn one(manifests: Vec<Descriptor>) -> Result<Descriptor, Fault> {
    let ours = |one: &Descriptor| {
        let platform = one.platform.as_ref();
        platform.is_none_or(|on| on.os == "linux" && on.architecture == "amd64")
    };
    let mut ours: Vec<Descriptor> = manifests.into_iter().filter(ours).collect();
    match ours.len() {
        0 => Err(Fault::OtherMachine),
        1 => Ok(ours.swap_remove(0)),
        count => Err(Fault::Several(count)),
    }
}

/// Where a layout has the blob of this digest.
fn blob_file(digest: &str) -> Result<String, Fault> {
    let name = digest.strip_prefix("sha256:").filter(|name| {
        name.len() == 64 && name.bytes().all(|c| matches!(c, b'0'..=b'9' | b'a'..=b'f'))
    });
    let name = name.ok_or_else(|| Fault::UnknownDigest(short(digest)))?;
    Ok(format!("blobs/sha256/{name}"))
}

/// Enough of a digest to find it.
fn short(digest: &str) -> String {
    digest.chars().take(19).collect()
}

fn json<T: DeserializeOwned>(name: &str, bytes: &[u8]) -> Result<T, Fault> {
    serde_json::from_slice(bytes).map_err(|error| Fault::Json(name.to_owned(), error.to_string()))
}

/// How a stream is packed, told by its first bytes: media types are often wrong.
enum Packing {
    None,
    Gzip,
    Zstd,
}

impl Packing {
    fn of(magic: &[u8]) -> Self {
        match magic {
            [0x1f, 0x8b, ..] => Self::Gzip,
            [0x28, 0xb5, 0x2f, 0xfd] => Self::Zstd,
            _ => Self::None,
        }
    }
}

/// A reader that hashes what passes, and ends with an error where too much does.
struct Hashed<R> {
    inner: R,
    hash: Sha256,
    left: u64,
}

impl<R: Read> Hashed<R> {
    fn new(inner: R, left: u64) -> Self {
        Self {
            inner,
            hash: Sha256::new(),
            left,
        }
    }

    fn digest(self) -> String {
        format!("sha256:{}", hex(&self.hash.finalize()))
    }
}

impl<R: Read> Read for Hashed<R> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let count = self.inner.read(buffer)?;
        self.hash.update(&buffer[..count]);
        self.left = self
            .left
            .checked_sub(count as u64)
            .ok_or_else(|| io::Error::other("it unpacks to more than a root may have"))?;
        Ok(count)
    }
}

#[cfg(test)]
#[path = "oci_tests.rs"]
mod tests;
